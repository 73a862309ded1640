-- A model of the server's log (protocols 3.4): a ring in memory that is
-- emptied into a file, each time doubling the line that filled it; positions
-- that mean file lines below the file's end and ring slots above it; slots that
-- read "null"; blank lines that the last flush leaves out.

local M = {}
local Model = {}
Model.__index = Model

local RING = 500

---A small generator, the same on every Lua.
function M.random(seed)
  local state = seed % 2147483647
  if state == 0 then state = 1 end
  return function(n)
    state = state * 16807 % 2147483647
    return n and state % n + 1 or state / 2147483647
  end
end

---opts: base (1, 0, or "mixed" as 1.5), thin (array form only), holes (share of
---slots that read as empty), random.
function M.new(opts)
  return setmetatable({
    base = opts.base or 1, thin = opts.thin, holes = opts.holes or 0,
    random = opts.random or M.random(1), file = {}, ring = {},
    top = opts.base == 0 and -1 or opts.base == "mixed" and -1 or 0,
    low = 0, since = 0, flushes = 0,
  }, Model)
end

local function into_file(self, entry)
  for line in (entry .. "\n"):gmatch "([^\n]*)\n" do self.file[#self.file + 1] = line end
end

---Writes what is in memory to the file; `line` set it off and stays there too.
function Model:flush(line)
  for i = self.low, self.top do
    local entry = self.ring[i]
    if entry and not (self.ended and entry:find "^%s*$") then into_file(self, entry) end
  end
  self.ring, self.since = {}, 0
  self.flushes = self.flushes + 1
  self.low = self.top
  if line then
    into_file(self, line)
    self.ring[self.top] = line
  end
end

---One more entry, perhaps of several lines.
function Model:add(entry)
  self.top = self.top + 1
  self.since = self.since + 1
  if self.since == RING then
    self:flush_at(entry)
  else
    self.ring[self.top] = entry
  end
end

function Model:flush_at(entry)
  self.ring[self.top] = nil
  self:flush(entry)
end

---The job ends: the rest goes to the file, without its blank lines.
function Model:finish()
  self.ended = true
  self:flush()
end

local function slot(self, index)
  local entry = self.ring[index]
  if not entry or self.random() < self.holes then return false end
  return entry
end

local function joined(out)
  local text = {}
  for i, entry in ipairs(out) do text[i] = entry or "null" end
  return table.concat(text, "\n")
end

-- Slots of the ring from label on; nothing beyond the last one.
local function from_ring(self, label, count, out)
  local shift = self.base == "mixed" and -1 or 0
  while count > 0 and label <= self.top do
    out[#out + 1] = slot(self, label + shift)
    label, count = label + 1, count - 1
  end
  return label
end

---The array form: index 3 holds all lines but the blank ones; empty slots vanish.
local function array(out)
  local all = {}
  for _, entry in ipairs(out) do
    if entry and not entry:find "^%s*$" then all[#all + 1] = entry end
  end
  return { "", "", "", table.concat(all, "\n") }
end

---What /log answers: the text (raw) or the array, and the next label; evicted
---labels give "" and the label asked for.
function Model:read(from, size)
  local out, first = {}, self.base == 1 and 1 or 0
  local at, count = math.max(from, first), size
  -- memory that was emptied w times takes only numbers below 499 w for the file's
  local by_file = self.ended or from < (RING - 1) * self.flushes
  while by_file and count > 0 and at - first < #self.file do
    out[#out + 1] = self.file[at - first + 1]
    at, count = at + 1, count - 1
  end
  local label
  if #out > 0 then
    label = from + #out
    if count > 0 then
      local ring = from_ring(self, at, count, out)
      label = label + (ring - at)
    end
  else
    if from < self.top - RING + 1 then return "", from end
    label = from_ring(self, from, count, out)
  end
  if self.thin then return array(out), label end
  return joined(out), label
end

function Model:file_text()
  if #self.file == 0 then return "" end
  return table.concat(self.file, "\n") .. "\n"
end

return M
