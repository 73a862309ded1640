-- paint.lua: the drawing of a run's timeline: scale, rows, marks, styles. Gets
-- the rows it draws; decides nothing about them.
local text_table = require "taskclient.text.table"

local M = {}

local WIDTH, ROW, TOP, LEFT_MAX, RIGHT = 1080, 26, 118, 250, 190
local GAP = 44          -- width of a piece of the axis that is cut out
local LOG_CHARS = 140   -- of a log line in the picture

local STYLE = [[
:root{color-scheme:light dark}svg{--bg:#fff;--ink:#1f2328;--soft:#59636e;--grid:#e2e6ea;
--band:#f6f8fa;--ok:#2f9e5b;--bad:#d1343f;--warn:#b7791f;--run:#2f74d0;--wait:#b9c3cd;
--step:#7a5bc7;--on:#fff;
font:13px system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}
@media(prefers-color-scheme:dark){svg{--bg:#0f141a;--ink:#e6edf3;--soft:#98a4b0;--grid:#27303a;
--band:#151c24;--ok:#3fb56b;--bad:#f0606a;--warn:#dba43a;--run:#5c9df0;--wait:#48535f;
--step:#a48af0;--on:#0f141a}}.bg{fill:var(--bg)}.band{fill:var(--band)}.grid{stroke:var(--grid)}
text{fill:var(--ink)}.soft{fill:var(--soft)}.h{font-size:19px;font-weight:650}
.b{font-weight:600}.s{font-size:11.5px}.e{text-anchor:end}.m{text-anchor:middle}
.mono{white-space:pre;font:11.5px ui-monospace,"DejaVu Sans Mono",Menlo,monospace}
.on{fill:var(--on);font-weight:600;font-size:11px}.succeeded{fill:var(--ok)}
.failed,.refused{fill:var(--bad)}.cancelled,.unknown,.submitting{fill:var(--warn)}
.running{fill:var(--run)}.queued,.intended{fill:var(--wait)}.forgotten{fill:var(--soft)}
.step{fill:var(--step)}.crash{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:4 3}
.again{stroke:var(--soft);stroke-dasharray:2 3}.cut{fill:var(--bg)}.cutline{stroke:var(--soft);
fill:none}.open{opacity:.75}]]

local PAGE = [[
body{margin:0;padding:24px;background:#fff;color:#1f2328;
font:15px/1.5 system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}main{max-width:1080px;
margin:auto}section,h2{margin-left:24px!important}svg{width:100%;height:auto}h2{font-size:18px;
margin:28px 0 8px}h3{font-size:15px;margin:0}section{border-left:3px solid #d1343f;
padding:2px 0 2px 14px;margin:14px 0}p{margin:2px 0;overflow-wrap:anywhere;white-space:pre-wrap}
pre{margin:6px 0 0;padding:10px 12px;
background:#f6f8fa;border-radius:6px;overflow-x:auto;
font:12.5px/1.45 ui-monospace,"DejaVu Sans Mono",monospace}
@media(prefers-color-scheme:dark){body{background:#0f141a;color:#e6edf3}pre{background:#151c24}
section{border-color:#f0606a}}]]

local GLYPH = { succeeded = "✓", failed = "✗", refused = "✗", cancelled = "⊘", unknown = "?",
  submitting = "?", intended = "◦",
  running = "▸", queued = "◦", forgotten = "–" }

-- One line of a text, at most so wide, the last `tail` (0) places of it from its end.
local function clip(text, width, tail)
  return text_table.clip((text:gsub("[%z\1-\31\127]", " ")), width, tail)
end

local ENTITY = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }
local UNREADABLE = "\239\191\189" -- U+FFFD

-- Bytes from one that begins a character up to the next such: as they are where XML may hold the
-- character, which excludes halves of surrogate pairs, U+FFFE and U+FFFF.
local function character(bytes)
  local a, b, c = bytes:byte(1, 3)
  local length = a < 0xC2 and 0 or a < 0xE0 and 2 or a < 0xF0 and 3 or a < 0xF5 and 4 or 0
  local bad = length == 0 or #bytes < length or a == 0xE0 and b < 0xA0 or a == 0xED and b > 0x9F
    or a == 0xF0 and b < 0x90 or a == 0xF4 and b > 0x8F or a == 0xEF and b == 0xBF and c > 0xBD
  if bad then return UNREADABLE end
  return #bytes > length and bytes:sub(1, length) .. UNREADABLE or nil
end

--- Text for XML and HTML, whatever is in it: control characters become blanks, and what is no
--- character of XML U+FFFD.
function M.escape(text)
  text = tostring(text):gsub("[%z\1-\8\11-\31\127]", " "):gsub('[&<>"]', ENTITY)
  return (text:gsub("[\128-\255][\128-\191]*", character))
end

function M.time(at) return os.date("%H:%M:%S", math.floor(at)) end

function M.duration(s)
  if s < 1 then return s < 0.001 and "< 1 ms" or string.format("%.0f ms", s * 1000) end
  if s < 10 then return string.format("%.1f s", s) end
  s = math.floor(s + 0.5)
  if s < 90 then return s .. " s" end
  if s < 5400 then return string.format("%d min %02d s", math.floor(s / 60), s % 60) end
  return string.format("%d h %02d min", math.floor(s / 3600), math.floor(s / 60) % 60)
end

--- The time a step's attempts took, together; `now` for what has not ended.
function M.took(step, now)
  local seconds, ended = 0, false
  for _, attempt in ipairs(step.attempts) do
    ended = attempt.to ~= nil
    seconds = seconds + math.max(0, (attempt.to or now) - attempt.from)
  end
  return (ended or seconds > 0) and M.duration(seconds) or ""
end

-- A scale from time to x in which long silences before a resumption are cut out.
local function scale(ledger, left, right)
  local from, to = ledger.at or 0, math.max(ledger.last or 0, (ledger.at or 0) + 0.001)
  local cuts, active = {}, to - from
  for _, resumed in ipairs(ledger.resumed) do
    local silence = resumed.at - (resumed.since or resumed.at)
    if silence > 5 and silence > 0.15 * (to - from) then
      cuts[#cuts + 1] = { from = resumed.since, to = resumed.at }
      active = active - silence
    end
  end
  local unit = (right - left - #cuts * GAP) / math.max(active, 0.001)
  return { from = from, to = to, cuts = cuts, active = active, x = function(at)
    local x, since = left, from
    for _, cut in ipairs(cuts) do
      if at <= cut.from then break end
      x = x + (cut.from - since) * unit
      if at < cut.to then return x + GAP * (at - cut.from) / (cut.to - cut.from) end
      x, since = x + GAP, cut.to
    end
    return x + (at - since) * unit
  end }
end

local STEPS = { 1e-4, 2e-4, 5e-4, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5,
  10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400 }

local function tick_step(active)
  for _, step in ipairs(STEPS) do
    if active / step <= 8 then return step end
  end
  return math.ceil(active / 8 / 86400) * 86400
end

-- Adds an element. All its texts are escaped here and nowhere else; numbers have a point, whatever
-- the locale writes in its place.
local function add(out, form, ...)
  local n, values = 0, { ... }
  out[#out + 1] = form:gsub("%%[%d.]*[dfgs]", function(spec)
    n = n + 1
    if spec == "%s" then return M.escape(values[n]) end
    return (spec:format(values[n]):gsub("[^%de+-]+", "."))
  end)
end

local function in_cut(axis, at)
  for _, cut in ipairs(axis.cuts) do
    if at > cut.from and at < cut.to then return cut end
  end
end

-- The n-th mark. A short run that was resumed hours later has fractions behind hours.
local function since_begin(n, step)
  local s = n * step + 1e-9
  if n == 0 then return "0" end
  if s < 0.1 then return ("%.3g ms"):format(s * 1000) end
  if s < 60 then return ("%.4g s"):format(s) end
  local digits = step >= 1 and 0 or step >= 0.1 and 1 or step >= 0.01 and 2 or 3
  local seconds = ("%0" .. (digits > 0 and digits + 3 or 2) .. "." .. digits .. "f"):format(s % 60)
  local minutes = math.floor(s / 60)
  if s < 3600 then return ("%d:%s"):format(minutes, seconds) end
  return ("%d:%02d:%s"):format(math.floor(minutes / 60), minutes % 60, seconds)
end

local function draw_axis(out, axis, bottom)
  local step, last, n = tick_step(axis.active), -100, 0
  while axis.from + n * step <= axis.to do
    local cut = in_cut(axis, axis.from + n * step)
    if cut then n = math.max(n, math.ceil((cut.to - axis.from) / step)) end
    local x = axis.x(axis.from + n * step)
    if x - last > 50 then
      last = x
      add(out, '<path class="grid" d="M%.1f %gV%g"/>', x, TOP - 8, bottom)
      add(out, '<text class="s soft m" x="%.1f" y="%g">%s</text>', x, TOP - 16,
        since_begin(n, step))
    end
    n = n + 1
  end
end

local function draw_resumptions(out, view, axis, bottom)
  for _, cut in ipairs(axis.cuts) do
    local x = axis.x(cut.from)
    add(out, '<rect class="cut" x="%.1f" y="%g" width="%g" height="%g"/>', x + 4, TOP - 8,
      GAP - 8, bottom - TOP + 8)
    add(out, '<text class="s soft" transform="translate(%.1f %g) rotate(-90)">%s later</text>',
      x + GAP / 2 + 4,
      bottom - 6, M.duration(cut.to - cut.from))
    add(out, '<path class="cutline" d="M%.1f %gl4 -6l4 12l4 -6"/>', x + GAP / 2 - 6, TOP - 20)
  end
  for _, resumed in ipairs(view.ledger.resumed) do
    local x = axis.x(resumed.at)
    add(out, '<path class="%s" d="M%.1f %gV%g"><title>%s at %s</title></path>', resumed.crashed
      and "crash" or "again",
      x, TOP - 8, bottom, resumed.crashed and "resumed after a crash" or "continued",
        M.time(resumed.at))
  end
end

local function rect(out, class, x, y, w, h, title)
  add(out, '<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%g" rx="3">'
    .. "<title>%s</title></rect>", class, x, y,
    math.max(w, 2.5), h, title)
end

local function draw_attempt(out, view, axis, step, n, y)
  local attempt = step.attempts[n]
  local stop = attempt.to or view.ledger.last
  local start = attempt.running or (step.kind == "step" and attempt.from) or nil
  local x0, x2 = axis.x(attempt.from), axis.x(stop)
  local x1 = start and axis.x(start) or (attempt.to and attempt.id and x0) or x2
  local title = ("%s%s: %s"):format(step.name, #step.attempts > 1 and " attempt " .. n or "",
    view.label(attempt.state))
  if x1 > x0 or not start and not attempt.to then
    rect(out, attempt.id and "queued" or attempt.state, x0, y + 9, x1 - x0, 8, title
      .. ", waiting")
  end
  local class = step.kind == "step" and attempt.state == "succeeded" and "step" or attempt.state
  if attempt.to or start then
    rect(out, class .. (attempt.to and "" or " open"), x1, y + 5, x2 - x1, 16,
      title .. ", " .. M.duration(stop - attempt.from))
  end
  if #step.attempts > 1 and x2 - x1 > 14 then
    add(out, '<text class="on m" x="%.1f" y="%g">%d</text>', (x1 + x2) / 2, y + 17, n)
  end
end

local function draw_row(out, view, axis, step, y)
  local last = step.attempts[#step.attempts]
  add(out, '<text x="24" y="%g">%s<title>%s</title></text>', y + 17, clip(step.name, 34, 10),
    step.name)
  for n = 1, #step.attempts do draw_attempt(out, view, axis, step, n, y) end
  add(out, '<text class="%s b" x="%g" y="%g">%s</text>', step.kind == "step"
    and last.state == "succeeded" and "step"
    or last.state, WIDTH - RIGHT + 10, y + 17, GLYPH[last.state] or "")
  add(out, '<text class="s e" x="%g" y="%g">%s</text>', WIDTH - RIGHT + 94, y + 17,
    M.took(step, view.ledger.last))
  add(out, '<text class="s soft e" x="%g" y="%g">%s</text>', WIDTH - 20, y + 17,
    clip(last.id and tostring(last.id) or #step.attempts > 1 and #step.attempts .. " tries" or "",
      10, 4))
end

local LEGEND = { { "queued", "queued" }, { "running", "running" }, { "succeeded", "succeeded" },
  { "failed", "failed" },
  { "cancelled", "cancelled, unknown" }, { "step", "step done here" } }

local function draw_legend(out, view)
  local x = 24
  for _, entry in ipairs(LEGEND) do
    add(out, '<rect class="%s" x="%g" y="69" width="12" height="10" rx="2"/>'
      .. '<text class="s soft" x="%g" y="78">%s</text>',
      entry[1], x, x + 17, entry[2])
    x = x + 36 + 6.6 * #entry[2]
  end
  for _, resumed in ipairs(view.ledger.resumed) do
    if resumed.crashed then
      add(out, '<path class="crash" d="M%.1f 67v14"/>'
        .. '<text class="s soft" x="%.1f" y="78">resumed after a crash</text>',
        x + 4, x + 12)
      break
    end
  end
end

local function draw_failures(out, blocks, y)
  if not blocks[1] then return y end
  add(out, '<text class="b" x="24" y="%g">What went wrong</text>', y + 18)
  y = y + 34
  for _, block in ipairs(blocks) do
    local top = y
    add(out, '<text class="b" x="36" y="%g">%s</text>', y + 12, clip(block.title, 120))
    y = y + 18
    if block.text then
      add(out, '<text x="36" y="%g">%s</text>', y + 12, clip(block.text, 140))
      y = y + 18
    end
    for _, line in ipairs(block.log or {}) do
      add(out, '<text class="mono soft" x="36" y="%g">%s</text>', y + 12, clip(line, LOG_CHARS))
      y = y + 16
    end
    add(out, '<rect class="failed" x="24" y="%g" width="3" height="%g"/>', top, y - top)
    y = y + 12
  end
  return y
end

local function left_edge(rows)
  local longest = 8
  for _, step in ipairs(rows) do
    longest = math.max(longest, math.min(34, text_table.width(step.name)))
  end
  return math.min(LEFT_MAX, 40 + longest * 7.4)
end

--- The timeline as SVG text; `blocks`: failures to write below it.
function M.svg(view, blocks)
  local left, right = left_edge(view.rows), WIDTH - RIGHT
  local axis, bottom = scale(view.ledger, left, right), TOP + #view.rows * ROW
  local body = {}
  for i = 2, #view.rows, 2 do
    add(body, '<rect class="band" x="12" y="%g" width="%g" height="%g"/>', TOP + (i - 1) * ROW,
      WIDTH - 24, ROW)
  end
  draw_axis(body, axis, bottom)
  for i, step in ipairs(view.rows) do draw_row(body, view, axis, step, TOP + (i - 1) * ROW) end
  draw_resumptions(body, view, axis, bottom)
  local y = bottom + 12
  if not view.rows[1] then
    add(body, '<text class="soft" x="24" y="%g">nothing has been done yet</text>', y + 12)
    y = y + 26
  end
  if view.omitted > 0 then
    add(body, '<text class="soft" x="24" y="%g">and %d more steps that succeeded</text>', y + 12,
      view.omitted)
    y = y + 26
  end
  y = draw_failures(body, blocks or {}, y) + 8
  local head = {}
  add(head, '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" '
    .. 'role="img">', WIDTH, y, WIDTH, y)
  add(head, "<title>%s</title>", view.title)
  head[#head + 1] = "<style>" .. STYLE .. "</style>"
  add(head, '<rect class="bg" width="%g" height="%g"/><text class="h" x="24" y="34">%s</text>',
    WIDTH, y, view.title)
  add(head, '<text class="soft" x="24" y="55">%s</text>'
    .. '<text class="s soft e" x="%g" y="34">%s</text>',
    view.headline, WIDTH - 20, view.span)
  draw_legend(head, view)
  return table.concat(head, "\n") .. "\n" .. table.concat(body, "\n") .. "\n</svg>\n"
end

--- The page around a timeline.
function M.page(view, svg, below)
  return table.concat { "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">",
    '<meta name="viewport" content="width=device-width,initial-scale=1">',
    "<title>", M.escape(view.title), "</title>\n<style>", PAGE, "</style>\n<main>\n", svg, below,
      "\n</main></html>\n" }
end

return M
