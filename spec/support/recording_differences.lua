-- Where the sandbox differs from the recorded server on purpose: a pattern of the recording's
-- name, a part of the request line, a pattern of the difference, the reason.

return {
  { "^30", "progressWithResource", "yarnResource is new", "asked before the job has ended" },
  { "^51", "pageNow=2", "tasks%.1%.", "which task stands there: one second has no order" },
  { "^61%-open", "empty.dolphin", "text", "somebody had put that file there" },
  { "^63", "outputFileName=", "content%-disposition", "UTF-8 bytes, recorded as Latin-1" },
}
