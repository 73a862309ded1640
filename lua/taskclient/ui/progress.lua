-- progress.lua: a progress bar for one job or many. On a terminal one line
-- that is drawn again; elsewhere a plain line now and then. Knows what waits
-- tell their on_progress callback, and the terminal; no server.
local core = require "taskclient.core"
local each = require "taskclient.compat".each
local options = require "taskclient.options"
local text_table = require "taskclient.text.table"

local M = {}

local OPTIONS = { quiet = "boolean", stream = "any", color = "boolean", width = "count",
  label = "string", interval = "duration", ascii = "boolean" }
local ENDED = require "taskclient.state".ENDED
local TINT = { succeeded = "32", failed = "31", cancelled = "33", running = "36", queued = "2" }
local PLAIN_GAP = 10       -- seconds between plain lines while the state stays
local EARLIEST_ETA = 5     -- seconds before which an estimate means nothing
local LONG_SILENCE = 30    -- seconds without an answer from which on their number is shown
local LABEL_MOST = 1000    -- bytes
local STEADY = 0.02        -- and the share of the work before which it means nothing

---@class taskclient.Bar
local Bar = {}
Bar.__index = Bar

local function is_terminal(bar)
  if os.getenv "TERM" == "dumb" then return false end
  return core.terminal(bar.fd) ~= nil
end

--- A progress bar: give it as `on_progress` to any wait, or to submit_many.
---@param opts? table quiet=, stream= (default io.stderr), color=, width=, label=, ascii=,
---   interval= (0.5 s)
---@return taskclient.Bar bar callable; `bar:print(…)` writes a line without breaking the bar;
---   `bar:finish()`
function M.bar(opts)
  opts = options.check("bar", opts, OPTIONS)
  local stream = opts.stream or io.stderr
  local bar = setmetatable({
    stream = stream, fd = stream == io.stdout and 1 or stream == io.stderr and 2 or -1,
    quiet = opts.quiet, width = opts.width, interval = opts.interval or 0.5,
    label = opts.label and core.clean(opts.label, LABEL_MOST, "line"),
    over = true, drawn = false,
  }, Bar)
  bar.live = not opts.quiet and (opts.width ~= nil or is_terminal(bar))
  local color = opts.color
  if color == nil then color = bar.live and (os.getenv "NO_COLOR" or "") == "" end
  bar.color = color
  local locale = os.getenv "LC_ALL" or os.getenv "LC_CTYPE" or os.getenv "LANG" or ""
  bar.ascii = opts.ascii or opts.ascii == nil and not locale:lower():find "utf%-?8"
  return bar
end

local function tint(bar, state, text)
  return bar.color and TINT[state] and "\27[" .. TINT[state] .. "m" .. text .. "\27[0m" or text
end

local function clock(seconds)
  seconds = math.floor(seconds + 0.5)
  if seconds < 60 then return seconds .. "s" end
  if seconds < 3600 then return string.format("%d:%02d", math.floor(seconds / 60),
    seconds % 60) end
  return string.format("%d:%02d:%02d", math.floor(seconds / 3600), math.floor(seconds / 60) % 60,
    seconds % 60)
end

-- The share that is done, of one job or of many; nil when nothing can be said.
local function share(bar)
  local one = bar.total == 1 and bar.last
  if one then return one.state == "succeeded" and 1 or bar.reached end
  if not bar.total or bar.total == 0 then return nil end
  local sum = bar.done
  for _, progress in each(bar.jobs) do sum = sum + (progress.fraction or 0) end
  return math.min(1, sum / bar.total)
end

local function estimate(part, elapsed)
  if not part or part < STEADY or part >= 1 or elapsed < EARLIEST_ETA then return "" end
  return "  about " .. clock(elapsed * (1 - part) / part) .. " left"
end

-- How many are in which state. Of more ends than there are jobs that are done, some were
-- failures that are tried again.
local function counted(bar)
  local counts, ended = {}, 0
  for state, n in each(bar.counts) do
    counts[state], ended = n, ended + (ENDED[state] and n or 0)
  end
  counts.retried = math.max(0, math.min(ended - bar.done, counts.failed or 0))
  counts.failed = (counts.failed or 0) - counts.retried
  return counts
end

local EIGHTHS = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" }

local function gauge(bar, part, width)
  local cells = part * width
  local full = math.floor(cells)
  if bar.ascii then return ("#"):rep(full) .. ("-"):rep(width - full) end
  local piece = EIGHTHS[math.floor((cells - full) * 8)] or ""
  return ("█"):rep(full) .. piece .. (" "):rep(width - full - (piece == "" and 0 or 1))
end

local function state_of(bar)
  if bar.total == 1 and bar.last then return bar.last.state end
  return counted(bar).failed > 0 and "failed" or bar.done == bar.total and "succeeded"
    or "running"
end

local function subject(bar)
  if bar.label then return bar.label end
  if bar.total == 1 and bar.job then
    local text = tostring(bar.job)
    return text:sub(1, (text:find(" (", 1, true) or 0) - 1)
  end
  return string.format("%d/%s jobs", bar.done or 0, bar.total or "?")
end

local function words(bar)
  if bar.total == 1 then return bar.last and bar.last.state or "" end
  local list, counts = {}, counted(bar)
  for _, state in ipairs { "running", "queued", "succeeded", "failed", "cancelled", "retried" } do
    local n = counts[state] or 0
    if n > 0 then list[#list + 1] = n .. " " .. state end
  end
  return table.concat(list, ", ")
end

-- What is to say beside the states.
local function notes(bar)
  if bar.total == 1 then return bar.last and bar.last.note and ", " .. bar.last.note or "" end
  local n, note = 0, nil
  for _, progress in each(bar.jobs) do
    if progress.note then n, note = n + 1, progress.note end
  end
  return n > 0 and (", of %d: %s"):format(n, note) or ""
end

-- Why nothing is heard, while that is so, and since when where that is long.
local function trouble(bar)
  local last = bar.last
  local err, silent = last and last.err, last and last.silent or 0
  if not err then return nil end
  local status = tonumber(err.http_status) or 0
  return "  no answer" .. (silent >= LONG_SILENCE and " for " .. clock(silent) or "") .. ": "
    .. err.kind .. (status > 0 and " " .. ("%d"):format(status) or "")
end

local function text_of(bar)
  local elapsed, part = core.now() - bar.started, share(bar)
  local percent = part and string.format(" %3d%%", math.floor(part * 100)) or ""
  local left = bar.done == bar.total and "" or estimate(part, elapsed)
  local rest = words(bar) .. notes(bar) .. "  " .. clock(elapsed) .. (trouble(bar) or left)
  return subject(bar), percent, rest, part
end

local function line(bar, width)
  local name, percent, rest, part = text_of(bar)
  local facts = percent .. "  " .. rest
  local room = math.min(40, width - text_table.width(name .. facts) - 4)
  if not part or room < 6 then
    -- the name gives way first: what is new is behind it
    local left = math.max(0, width - 1 - text_table.width(facts))
    return text_table.clip(text_table.clip(name, left, 0, "~") .. facts, width - 1, 0, "~")
  end
  local state = state_of(bar)
  local edge = bar.ascii and { "[", "]" } or { "▕", "▏" }
  return name .. " " .. edge[1] .. tint(bar, state, gauge(bar, part, room)) .. edge[2] .. percent
    .. "  " .. rest
end

local function width_of(bar)
  return bar.width or core.terminal(bar.fd) or 80
end

-- A terminal that became narrower has wrapped the line that stands there.
local function erase(bar)
  if bar.drawn then
    local above = math.ceil(bar.drawn / width_of(bar)) - 1
    bar.stream:write(above > 0 and "\27[" .. above .. "A" or "", "\r\27[J")
  end
  bar.drawn = false
end

local function draw(bar)
  local text = line(bar, width_of(bar))
  erase(bar)
  bar.stream:write(text)
  bar.stream:flush()
  bar.drawn, bar.drawn_at = text_table.width((text:gsub("\27%[%d*m", ""))), core.now()
end

local function plain(bar, changed)
  local now = core.now()
  if not changed and bar.drawn_at and now - bar.drawn_at < PLAIN_GAP then return end
  local name, percent, rest = text_of(bar)
  bar.stream:write(name, percent, "  ", rest, "\n")
  bar.stream:flush()
  bar.drawn_at = now
end

local function count(bar, job, progress)
  local before, counts = bar.jobs[job], bar.counts
  if before then counts[before.state] = counts[before.state] - 1 end
  counts[progress.state] = (counts[progress.state] or 0) + 1
  bar.jobs[job] = not ENDED[progress.state] and progress or nil
  -- what a server says of a job that was stopped is no measure of what was done
  if not ENDED[progress.state] then bar.reached = progress.fraction end
  bar.done, bar.total = progress.done, progress.total
  local changed = not before or before.state ~= progress.state
    or (before.err == nil) ~= (progress.err == nil) or before.note ~= progress.note
  bar.job, bar.last = job, progress
  return changed
end

-- One bar may serve one wait after the other.
local function begin(bar)
  bar.started, bar.jobs, bar.counts, bar.over = core.now(), {}, {}, false
  bar.last, bar.job, bar.reached, bar.drawn_at = nil, nil, nil, nil
end

--- What a wait calls with each look at a job.
function Bar:__call(job, progress)
  if self.quiet then return end
  if self.over then begin(self) end
  if not self.last then self.started = core.now() - (progress.elapsed or 0) end
  local changed = count(self, job, progress)
  if not self.live then
    plain(self, changed and (self.total == 1 or self.done == self.total))
  elseif changed or core.now() - (self.drawn_at or 0) >= 0.1 then
    draw(self)
  end
  if self.done == self.total then self:finish() end
end

--- Draws the time that passes; waits call it between their looks.
function Bar:tick()
  if self.live and self.last and self.drawn then draw(self) end
end

--- Writes a line of text above the bar, without what else than colors a terminal would act on.
---@param ... any
function Bar:print(...)
  local list = {}
  for i = 1, select("#", ...) do list[i] = tostring((select(i, ...))) end
  local redraw = self.drawn
  erase(self)
  local text = core.clean(table.concat(list, "\t"), nil, "colors")
  self.stream:write(text, text:find("\27", 1, true) and "\27[0m" or "", "\n")
  if redraw then draw(self) end
end

--- Ends the bar's line; what is written next stands below it.
function Bar:finish()
  if self.drawn then self.stream:write "\n" end
  self.drawn, self.over = false, true
end
Bar.close = Bar.finish
Bar.__close = Bar.finish

function Bar.__tostring() return "progress bar" end

return M
