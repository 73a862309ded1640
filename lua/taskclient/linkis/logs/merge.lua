-- Which log lines are new. A pure algorithm over the pages of a server whose
-- live log loses and doubles lines (protocols 3.4); it asks for nothing
-- itself: `want` says what to read next, `take` is given what came.
--
-- The log file only grows, and a page that begins at file line p holds only
-- lines that stand at p or below it in the file. So the follower keeps one
-- number, `settled`: the file's first lines with which it is done for good, and
-- beside it how often each text was given out beyond them (`ahead`). Each page
-- is read from there again; what a page holds more often than `ahead` is new.
-- Lines that lie BACK before the end have left the server's memory for the file
-- and are settled. So the versions' different counting never matters, but for
-- one number: whether the first line of the file is 0 or 1 (`base`).

local core = require "taskclient.core"
local each = require "taskclient.compat".each

local level_of = core.level

local M = {}

local BACK = 600    -- lines; the server's memory holds 500
local PAGE = 5000   -- lines asked for at once
local LEAST = 1200  -- fewer could not get ahead of BACK
local PROBE = 64    -- lines compared to find the base
local THIN_PROBE = 3 -- the same where blank lines are left out: none may be missing
local LINGER = 6    -- quiet pages after which holes are no longer hoped for
local TAIL = 8      -- settled lines kept to recognise the file by
local CHUNK = 1000  -- lines of the file handled at once

---@class taskclient.Follower
local Follower = {}
Follower.__index = Follower

-- The notes of the lines that wait to be read are few tables, which those share that have the
-- same: by what marks them, and by their level.
local NOTES = { [""] = {}, late = {}, filled = {} }
for how, notes in each(NOTES) do
  for _, level in ipairs { "", "error", "warn", "info" } do
    notes[level] = { level = level ~= "" and level or nil, late = how == "late" or nil,
      filled = how == "filled" or nil }
  end
end

---@param opts table filter (set of levels or nil), exact (only settled lines)
---@param saved table|nil what `save` gave
---@return taskclient.Follower
function M.new(opts, saved)
  local self = setmetatable({
    filter = opts.filter, exact = opts.exact, settled = 0, base = nil,
    ahead = {}, dropped = {}, tail = {}, level = nil, last = 0, holes = {},
    step = "window", size = PAGE, quiet = 0,
    queue = {}, notes = {}, head = 1, waiting = 0, count = 0,
  }, Follower)
  if saved then self:restore(saved) end
  return self
end

-- Output ----------------------------------------------------------------------

local function push(self, line, level, how)
  local n = self.waiting + 1
  self.queue[n], self.notes[n] = line, NOTES[how or ""][level or ""]
  self.waiting, self.count = n, self.count + 1
end

--- The next line that is known to be new, and its note; nil: none.
function Follower:next()
  local head = self.head
  local line, note = self.queue[head], self.notes[head]
  if head < self.waiting then
    self.head = head + 1
  elseif line ~= nil then
    self.queue, self.notes, self.head, self.waiting = {}, {}, 1, 0
  else
    return nil
  end
  local own = { level = note.level } -- the reader may write into it
  if note.late or note.filled then own.late, own.filled = note.late, note.filled end
  return line, own
end

local function add(counts, text, n)
  local sum = (counts[text] or 0) + n
  counts[text] = sum ~= 0 and sum or nil
end

-- Gives out a new line; `live` ones are remembered until they are settled.
local function emit(self, line, level, how, live)
  local pass = not self.filter or self.filter[level or ""]
  if pass then push(self, line, level, how) end
  if not live then return end
  add(self.ahead, line, 1)
  if not pass then add(self.dropped, line, 1) end
end

-- A line given out before has its place in the file now. Only there is the
-- level of a line without one certain, so a line held back may be due after all.
local function confirm(self, line, level, how)
  local held = self.dropped[line] or 0
  local given = self.ahead[line] - held
  add(self.ahead, line, -1)
  if held == 0 then return end
  if self.filter and not self.filter[level or ""] then
    add(self.dropped, line, -1)
  elseif given == 0 then
    add(self.dropped, line, -1)
    push(self, line, level, how)
  end
end

-- The walk over a page ----------------------------------------------------------

-- A blank line may still be left out of the file; "null" is a slot whose line is
-- not there yet, or a line that reads so: both wait until they are settled.
local function certain(line) return line ~= "null" and not line:find "^%s*$" end

-- Positions of the lines that are new, and the last one that is not.
local function find_new(self, lines, done)
  local ahead, seen, new, last_known, rest = self.ahead, {}, {}, 0, 0
  for _, n in each(ahead) do rest = rest + n end
  for i = 1, #lines do
    local line = lines[i]
    local given = rest > 0 and ahead[line] -- a look-up hashes the line
    local n = given and (seen[line] or 0) + 1
    if n and n <= given then
      seen[line], last_known, rest = n, i, rest - 1
    elseif i <= done or not self.exact and certain(line) then
      new[#new + 1] = i
    end
  end
  return new, last_known
end

-- The first slot that is empty for the first time: nothing behind it is given
-- out before it was read again. The slot 0 of a server that counts from 1 is
-- always empty.
local function find_hole(self, lines, done, from)
  local holes, limit = {}, nil
  for i = math.max(done + 1, from == 0 and 2 or 1), #lines do
    if lines[i] == "null" then
      holes[from + i] = true
      if not limit and not self.holes[from + i] then limit = i end
    end
  end
  self.holes = holes
  return limit
end

local function keep_tail(self, lines, done)
  local tail = self.tail
  for i = math.max(1, done - TAIL + 1), done do tail[#tail + 1] = lines[i] end
  while #tail > TAIL do table.remove(tail, 1) end
end

-- Goes through a page that begins behind the settled lines and whose first
-- `done` lines are settled by it. `how` marks the new ones. Gives how many
-- lines were new.
local function walk(self, lines, done, limit, how)
  local new, last_known = find_new(self, lines, done)
  local at, level = 1, self.level
  limit = limit or #lines
  for i = 1, #lines do
    local line = lines[i]
    level = level_of(line) or level
    if new[at] == i then
      at = at + 1
      local mark = how or i < last_known and "filled" or nil
      if i <= limit then emit(self, line, level, mark, i > done) end
    elseif i <= done then
      confirm(self, line, level, how or "filled")
    end
    if i == done then self.level = level end
  end
  keep_tail(self, lines, done)
  return #new
end

-- Live pages --------------------------------------------------------------------

--- What to ask for next: first line and number of lines.
---@return integer from, integer size
function Follower:want()
  local step = self.step
  if step == "idle" then return self.last, 1 end
  if step == "probe0" then return 0, self.probe end
  if step == "probe1" then return 1, self.probe end
  return self.settled + (self.base or 0), step == "settle" and self.chunk or self.size
end

local steps = {}

-- What to do next when a page has brought nothing that calls for more at once.
local function rest(self, new, limit)
  if limit then return "again" end
  self.quiet = new > 0 and 0 or self.quiet + 1
  if new > 0 then return "some" end
  if next(self.holes) == nil or self.quiet > LINGER then self.step = "idle" end
  return "wait"
end

function steps.window(self, page)
  local from, size = self:want()
  if page.advance <= 0 then
    if from < self.last then return "stuck" end
    return rest(self, 0)
  end
  local old = page.advance - BACK
  local done = self.base and page.raw and math.max(0, math.min(old, #page.lines)) or 0
  local limit = find_hole(self, page.lines, done, from)
  local new = walk(self, page.lines, done, limit)
  self.settled = self.settled + done
  self.last = from + page.advance
  if old > 0 and not self.base then
    self.step, self.probe = "probe0", page.raw and PROBE or THIN_PROBE
    return "more"
  elseif not page.raw and self.exact then
    return rest(self, new, limit) -- the lines left out have no place yet
  elseif not page.raw and old >= BACK then
    self.step, self.chunk = "settle", old
    return "more"
  end
  if page.advance >= size then return "more" end
  return rest(self, new, limit)
end

-- A page without the empty lines does not show which of its lines are settled:
-- the settled ones are asked for by themselves.
function steps.settle(self, page)
  self.step = "window"
  if page.advance ~= self.chunk then return "wait" end
  self.thinned = self.thinned or #page.lines < page.advance
  walk(self, page.lines, #page.lines)
  self.settled = self.settled + page.advance
  return "more"
end

function steps.probe0(self, page)
  self.first, self.step = page.lines, "probe1"
  return "more"
end

local function same(a, b, shift)
  local n = math.min(#a - shift, #b)
  for i = 1, n do
    if a[i + shift] ~= b[i] then return false end
  end
  return n > 0
end

-- Lines from 0 against lines from 1: the same ones where counting begins at 1.
local function find_base(zero, one)
  if #zero > 0 and #one == 0 then return 0 end
  local from_one, from_zero = same(zero, one, 0), same(zero, one, 1)
  if from_one and from_zero and #zero ~= #one then from_one = false end
  if from_one == from_zero then return nil end
  return from_one and 1 or 0
end

function steps.probe1(self, page)
  local least = math.min(#self.first, #page.lines)
  local whole = (least == self.probe or page.raw and least > self.probe)
    and self.first[1] ~= "null"
  self.base = whole and find_base(self.first, page.lines) or nil
  self.first, self.step = nil, "window"
  if self.base then return "more" end
  self.size = math.max(self.size, 2 * self.last)
  return "wait"
end

function steps.idle(self, page)
  if page.advance <= 0 then return "wait" end
  self.step, self.quiet = "window", 0
  return "more"
end

--- Takes the page that `want` asked for. Gives what to do next: "more" (ask
--- again at once), "again" (soon: an empty slot), "some" (there were new lines),
--- "wait" (nothing new), "stuck" (these lines have left the server's memory:
--- read the file).
---@param page table {lines=, advance=, raw=}; raw: with its empty lines
---@return string
function Follower:take(page)
  self.live = true
  return steps[self.step](self, page)
end

-- The file ------------------------------------------------------------------------

-- Whether the array form leaves this line out.
local function thin(line)
  return line:find "^%s*$" ~= nil or line:find("com.netflix", 1, true) ~= nil
end

-- Position behind the first n lines, and the last lines before it.
local function skip(text, n, thinned)
  local at, last = 1, {}
  for i = 1, n do
    local stop = text:find("\n", at, true)
    if not stop then return nil end
    if i > n - 4 * TAIL then
      local line = text:sub(at, stop - 1)
      if not thinned or not thin(line) then last[#last + 1] = line end
    end
    at = stop + 1
  end
  return at, last
end

local function fits(tail, last)
  for i = 0, math.min(#tail, #last) - 1 do
    if tail[#tail - i] ~= last[#last - i] then return false end
  end
  return true
end

-- Whether all that was given out beyond the settled lines stands in the text.
local function covers(ahead, text, at)
  local missing, open = {}, 0
  for line, n in each(ahead) do
    missing[line], open = n, open + n
  end
  while open > 0 do
    local stop = text:find("\n", at, true) or #text + 1
    if at > #text then return false end
    local line = text:sub(at, stop - 1)
    if (missing[line] or 0) > 0 then
      missing[line], open = missing[line] - 1, open - 1
    end
    at = stop + 1
  end
  return true
end

--- Goes over to the log file. A file that is not yet what it must become is
--- refused unless `force`.
---@param text string the file as far as it was written
---@param ended boolean whether it is whole: lines from it are marked late
---@param force boolean|nil take it though lines given out are not in it
---@return boolean|nil taken
---@return string|nil why "short", "other" (not the log that was followed), "behind"
function Follower:file(text, ended, force)
  local at, last = skip(text, self.settled, self.thinned)
  if not at then return nil, "short" end
  if not fits(self.tail, last) then return nil, "other" end
  if ended and not force and not covers(self.ahead, text, at) then return nil, "behind" end
  self.text, self.at, self.ended = text, at, ended
  if self.thinned then self:add_thinned(at) end
  return true
end

-- The lines that the array form had left out of what is settled.
function Follower:add_thinned(stop)
  local level
  for line in self.text:sub(1, stop - 1):gmatch "([^\n]*)\n" do
    level = level_of(line) or level
    if thin(line) then emit(self, line, level, "late") end
  end
  self.thinned, self.tail = false, {}
end

--- Takes lines that are all settled, in the file's order.
---@param lines string[]
---@param count integer|nil how many lines of the file they are (default #lines)
function Follower:settle(lines, count)
  walk(self, lines, #lines, nil, self.live and self.ended and "late" or nil)
  self.settled = self.settled + (count or #lines)
end

--- Where the lines go on that are not settled yet, for reading /log to its end
--- once the job has ended. `zero` and `one` are the pages from line 0 and 1.
---@return integer from
function Follower:resume_at(zero, one)
  self.base = self.base or find_base(zero.lines, one.lines) or (zero.raw and 1 or 0)
  self.ended = true
  return self.settled + self.base
end

--- Asks for fewer lines at once. False: fewer make no sense.
---@return boolean
function Follower:shrink()
  if self.size <= LEAST then return false end
  self.size = math.max(LEAST, math.floor(self.size / 2))
  return true
end

--- Handles the next lines of the file. False: there are no more.
---@return boolean
function Follower:advance()
  if not self.text then return false end
  local lines
  lines, self.at = core.lines(self.text, self.at, CHUNK, not self.ended)
  if #lines == 0 then
    self.text = nil
    return false
  end
  self:settle(lines)
  return true
end

--- Whether a part of the file that was taken is not handled yet.
---@return boolean
function Follower:unread() return self.text ~= nil and self.at <= #self.text end

-- Saving ----------------------------------------------------------------------------

local function pairs_list(counts)
  local list = {}
  for text, n in each(counts) do list[#list + 1] = { text, n } end
  return list
end

local function counts_of(list)
  local counts = {}
  for _, pair in ipairs(list or {}) do counts[pair[1]] = pair[2] end
  return counts
end

local function how_of(note) return note.late and "late" or note.filled and "filled" or nil end

--- A plain table from which `new` goes on, also in another process.
function Follower:save()
  local pending, tail = {}, {}
  for i = self.head, self.waiting do
    local note = self.notes[i]
    pending[#pending + 1] = { self.queue[i], note.level or "", how_of(note) or "" }
  end
  for i, line in ipairs(self.tail) do tail[i] = line end
  return {
    settled = self.settled, base = self.base, last = self.last, level = self.level,
    ahead = pairs_list(self.ahead), dropped = pairs_list(self.dropped), tail = tail,
    pending = pending, live = self.live or false, thinned = self.thinned or false,
  }
end

local function filled(word) return word ~= "" and word or nil end

function Follower:restore(saved)
  self.settled, self.base, self.last = saved.settled, saved.base, saved.last or 0
  self.level, self.live, self.thinned = saved.level, saved.live, saved.thinned
  self.ahead, self.dropped = counts_of(saved.ahead), counts_of(saved.dropped)
  for i, line in ipairs(saved.tail or {}) do self.tail[i] = line end
  for _, p in ipairs(saved.pending or {}) do push(self, p[1], filled(p[2]), filled(p[3])) end
end

return M
