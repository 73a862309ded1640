-- The log as an entrance keeps it: a ring in memory, flushed to a file, and what a reader
-- of either gets to see (protocols 3.4). Pure computation on a list of entries.
--
-- Entry i (1-based) triggers the flush number w when i = w * size + 1: the ring goes to the file
-- together with that entry, which also stays in the ring and so stands twice in the file.
-- Of what the flush left behind, the slots (size-1)*w .. size*w read as null.

local M = {}

---How many flushes a ring has seen after `n` entries.
function M.flushes(n, size)
  return n > size and math.floor((n - 1) / size) or 0
end

local function add_lines(out, entry, skip_blank)
  if not entry:find("\n", 1, true) then
    if not (skip_blank and entry == "") then out[#out + 1] = entry end
    return
  end
  for line in (entry .. "\n"):gmatch("(.-)\n") do
    if not (skip_blank and line == "") then out[#out + 1] = line end
  end
end

---Appends to `file` what the flushes after number `done` wrote.
---@param file string[] lines so far
---@param entries string[]
---@param done integer flushes already in `file`
---@param size integer
---@return integer flushes in `file` now
function M.flush(file, entries, done, size)
  local all = M.flushes(#entries, size)
  for w = done + 1, all do
    local first = w == 1 and 1 or (w - 1) * size + 1
    for i = first, w * size + 1 do add_lines(file, entries[i]) end
  end
  return all
end

---Appends the last flush, at the job's end; it leaves blank lines out.
function M.finish(file, entries, done, size)
  for i = done * size + 1, #entries do add_lines(file, entries[i], true) end
end

-- From the file, by its 1-based line numbers; `base` 0 counts from 0.
local function from_file(out, state, from, size, base)
  local at = math.max(from + 1 - base, 1)
  while at <= #state.file and #out < size do
    out[#out + 1] = state.file[at]
    at = at + 1
  end
  return #out < size
end

-- From the ring, by index: 0 is a phantom slot (with base 0 the first entry), null slots are false.
local function from_ring(out, state, index, size, base)
  local n, w = #state.entries, state.flushed
  local hole_first, hole_last = (state.size - 1) * w, state.size * w
  while index <= n - (1 - base) and #out < size do
    local entry = index + 1 - base
    local hole = entry == 0 or (w > 0 and entry >= hole_first and entry <= hole_last)
      or (state.writing and entry == n)
    out[#out + 1] = not hole and state.entries[entry]
    index = index + 1
  end
end

---What `/log` reads.
---@param state table entries, file (lines), flushed, ended, size, writing (the newest slot reads
---null)
---@param from integer fromLine as sent
---@param size integer how many lines
---@param base integer 1: today's numbering; 0: that of old versions
---@return table lines texts, false for a null slot
function M.read(state, from, size, base)
  local out = {}
  if state.ended then
    from_file(out, state, from, size, base)
  elseif state.flushed > 0 and from < (state.size - 1) * state.flushed then
    if from_file(out, state, from, size, base) then
      from_ring(out, state, #state.file + base, size, base)
    end
  else
    from_ring(out, state, from, size, base)
  end
  return out
end

local ERROR, WARN, INFO, ALL = 1, 2, 3, 4
local STAMP = "%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d[%.%d]* "

local function level_of(line)
  if line:find("SYSTEM-ERROR ", 1, true) or line:find(STAMP .. "ERROR ") then return ERROR end
  if line:find(STAMP .. "WARN ") then return WARN end
  if line:find(STAMP .. "INFO ") then return INFO end
end

---The four texts of the live endpoint: a line without level is INFO, blank ones vanish.
---@param lines table as `M.read` gave them
---@return string[] four ERROR, WARN, INFO, ALL
function M.levels(lines)
  local out = { {}, {}, {}, {} }
  for _, text in ipairs(lines) do
    for line in ((text or "") .. "\n"):gmatch("(.-)\n") do
      if line:find "%S" and not line:find("com.netflix", 1, true) then
        local list = out[level_of(line) or INFO]
        list[#list + 1] = line
        out[ALL][#out[ALL] + 1] = line
      end
    end
  end
  for i = 1, 4 do out[i] = table.concat(out[i], "\n") end
  return out
end

---The four texts of openLog: a line without level inherits the one before, each ends with a
---newline, and an empty one is a newline already.
---@param file string[] lines
---@param only table? set of "error", "warn", "info"; then ALL stays empty
---@return string[] four
function M.open_log(file, only)
  local names = { "error", "warn", "info" }
  local out, current = { {}, {}, {}, {} }, nil
  for _, line in ipairs(file) do
    current = line:find("^" .. STAMP) and level_of(line) or current
    local text = (line == "" and "\n" or line) .. "\n"
    if current and (not only or only[names[current]]) then
      out[current][#out[current] + 1] = text
    end
    if not only then out[ALL][#out[ALL] + 1] = text end
  end
  for i = 1, 4 do out[i] = table.concat(out[i]) end
  return out
end

return M
