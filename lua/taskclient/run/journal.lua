-- journal.lua: the file of a durable run. Append-only JSON Lines, each line
-- ended by its own checksum, locked against a second writer. It knows lines
-- and checksums; what they mean is run.lua's.
local core = require "taskclient.core"
local new_error = require("taskclient.error").new

local M = {}

local Journal = {}
Journal.__index = Journal

local function damaged(path, number, why)
  return nil, new_error("io", string.format("%s: line %d is damaged (%s); nothing was changed",
    path, number, why))
end

-- A line's last bytes: `,"crc":"` with 8 hexadecimal digits and `"}`.
local CRC_AT, CRC_TEXT = -18, '^,"crc":"(%x%x%x%x%x%x%x%x)"}$'

local function seal(record)
  local body = assert(core.encode(record))
  return body:sub(1, -2) .. ',"crc":"' .. core.crc32(body) .. '"}\n'
end

-- The record of a line, or nil and what is wrong with it.
local function unseal(line)
  local crc = line:sub(CRC_AT):match(CRC_TEXT)
  if not crc or line:byte() ~= 123 then return nil, "no checksum" end
  local body = line:sub(1, CRC_AT - 1) .. "}"
  if core.crc32(body) ~= crc then return nil, "wrong checksum" end
  local record, err = core.decode(body)
  return record, err and err.message
end

-- What stands after the last newline: a line whose newline is missing or
-- wrong counts, a piece of a line was never acted upon, and goes.
local function tail_record(tail)
  local record, why = unseal(tail)
  if record then return record, tail end
  local whole = tail:sub(1, -2)
  record = unseal(whole)
  if record then return record, whole end
  if tail:sub(CRC_AT):find '^,"crc":"%x%x%x%x%x%x%x%x".$' then return nil, nil, why end
end

-- Each record bears its line's number, which tells of a line that is missing, doubled or out of
-- its place. The first version wrote none: such lines may only stand before all that have one.
local function misplaced(record, number, numbered)
  local n = record.n
  if n == number or n == nil and not numbered then return nil end
  return n and ("it was written as line %s"):format(tostring(n)) or "it bears no number"
end

-- What to say of a file whose first line is no record of ours.
local function no_beginning(path, text, why)
  local begun = ('{"at":'):sub(1, #text) == text:sub(1, 6)
  if begun and text:find("\n", 1, true) then return damaged(path, 1, why) end
  return nil, new_error("io", path .. (begun and ": the file is cut inside of its first record, so "
    .. "that what was submitted is not known; nothing was changed. Give the run another file "
    .. "if all of it may be submitted again"
    or ": this file is not a journal of a run; nothing was changed"))
end

-- All records, the length of the good text, and a last record that lacks its newline.
local function parse(path, text)
  local records, position, numbered = {}, 1, false
  local function add(record, why)
    local number = #records + 1
    why = record and misplaced(record, number, numbered) or why
    if why and number == 1 then return no_beginning(path, text, why) end
    if why then return damaged(path, number, why) end
    records[number], numbered = record, record.n ~= nil
    return true
  end
  local stop = text:find("\n", 1, true)
  while stop do
    local good, err = add(unseal(text:sub(position, stop - 1)))
    if not good then return nil, err end
    position, stop = stop + 1, text:find("\n", stop + 1, true)
  end
  local record, whole, why = tail_record(text:sub(position))
  if record or why then
    local good, err = add(record, why)
    if not good then return nil, err end
  elseif not records[1] and text ~= "" then
    return no_beginning(path, text)
  end
  return records, position - 1, whole
end

-- Brings the file to the end of its last whole line.
local function mend(file, text, length, whole)
  if length == #text then return true end
  local ok, err = file:truncate(length)
  if ok and whole then ok, err = file:write(whole .. "\n") end
  return ok, err
end

local function load_file(path, file, opts)
  local text, err = file:read()
  if not text then return nil, err end
  local records, length, whole = parse(path, text)
  if not records then return nil, length end
  local number, why = opts.judge(records)
  if number then return damaged(path, number, why) end
  if opts.read_only then return records end
  local ok, trouble = mend(file, text, length, whole)
  if ok and not records[1] then -- the file was there already, and empty
    records[1] = opts.first
    ok, trouble = file:write(seal(opts.first))
    if ok then ok, trouble = file:sync() end
  end
  return ok and records, trouble
end

--- Opens (or makes) and locks a journal: journal and its records, or nil, err. opts: `first`, the
--- record with which a new one begins; `judge(records)`, which gives the number of a record that
--- cannot follow upon those before it, and why; `read_only`: one that somebody else may be
--- writing, where nothing is locked or changed.
function M.open(path, opts)
  local file, err = core.append(path, seal(opts.first), opts.read_only)
  if not file then return nil, err end
  local records
  records, err = load_file(path, file, opts)
  local self = setmetatable({ path = path, file = file, count = records and #records or 0,
    synced = records and #records or 0 }, Journal)
  if opts.read_only or not records then
    self.failed = new_error("closed", path .. ": opened only to look")
    self:close()
  end
  return records and self, records or err
end

-- A failure is remembered: a journal that lost a line takes no more.
local function kept(self, ok, err)
  if not ok then self.failed = err end
  return ok, err
end

--- Appends a record.
function Journal:write(record)
  if self.failed then return nil, self.failed end
  record.n = self.count + 1
  local ok, err = self.file:write(seal(record))
  if ok then self.count = record.n end
  return kept(self, ok, err)
end

--- Makes all that was written so far survive a power failure, by one fdatasync.
function Journal:sync()
  if self.failed then return nil, self.failed end
  if self.synced >= self.count then return true end
  self.synced = self.count
  return kept(self, self.file:sync())
end

function Journal:close()
  if not self.file then return true end
  local ok, err = self:sync()
  self.file:close()
  self.file = nil
  self.failed = self.failed or new_error("closed", self.path .. ": the run is closed")
  return ok, err
end

return M
