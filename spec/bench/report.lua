-- How every bench prints: a heading, then a line per number: ours, the peer's,
-- their ratio, what is aimed at, whether it is reached. Times and sizes differ
-- between machines; a ratio of two that ran in turns says more.

local M = {}

local HEAD, LINE = "%-34s %12s %12s %7s  %s", "%-34s %12s %12s %7.2f  %-8s %s"

---@param list number[] it is sorted
function M.median(list)
  table.sort(list)
  return list[math.floor(#list / 2) + 1]
end

---@param title string
---@param peer string what ours is measured against
function M.heading(title, peer)
  print(HEAD:format(title, "taskclient", peer, "ratio", "aim"))
end

--- aim: "<= 1.10", ">= 4" or "< 16"; the ratio is judged as it is given.
---@param what string
---@param ours string with its unit
---@param theirs string
---@param ratio number
---@param aim string
function M.line(what, ours, theirs, ratio, aim)
  local sign, limit = aim:match "^([<>]=?)%s*([%d.]+)$"
  limit = assert(tonumber(limit), aim)
  local fine
  if sign:sub(1, 1) == "<" then fine = ratio <= limit else fine = ratio >= limit end
  print((LINE:format("  " .. what, ours, theirs, ratio, aim, fine and "ok" or "MISSED")))
end

--- The output of a command, without the white space at its end.
function M.output(command)
  local pipe = assert(io.popen(command, "r"))
  local text = pipe:read "*a"
  pipe:close()
  return (text:gsub("%s+$", ""))
end

return M
