-- journal.lua: the file of a durable run. Append-only JSON Lines, each line
-- ended by its own checksum, locked against a second writer. It knows lines
-- and checksums; what they mean is run.lua's.
local core = require "taskclient.core"
local json = require "taskclient.json"
local new_error = require("taskclient.error").new

local M = {}

local Journal = {}
Journal.__index = Journal

local function damaged(path, number, why)
  return nil, new_error("io", string.format("%s: line %d is damaged (%s); nothing was changed",
    path, number, why))
end

-- The record of a line, or nil and what is wrong with it.
local function unseal(line)
  local head, crc = line:match '^({.*),"crc":"(%x+)"}$'
  if not head then return nil, "no checksum" end
  local body = head .. "}"
  if core.crc32(body) ~= crc then return nil, "wrong checksum" end
  return core.decode(body)
end

-- What stands after the last newline: a line whose newline is missing or
-- wrong counts, a piece of a line was never acted upon, and goes.
local function tail_record(tail)
  local record, why = unseal(tail)
  if record then return record, tail end
  local whole = tail:sub(1, -2)
  record = unseal(whole)
  if record then return record, whole end
  if tail:find '"crc":"%x%x%x%x%x%x%x%x".$' then return nil, nil, why end
end

-- All records, the length of the good text, and a last record that lacks its newline.
local function parse(path, text)
  local records, position, number = {}, 1, 1
  for line, after in text:gmatch "([^\n]*)\n()" do
    local record, why = unseal(line)
    if not record then return damaged(path, number, why) end
    records[number], position, number = record, after, number + 1
  end
  local record, whole, why = tail_record(text:sub(position))
  if why then return damaged(path, number, why) end
  records[number] = record
  local first = records[1]
  if first and first.what == "run" or not first and ('{"at":'):find(text:sub(1, 6), 1, true) then
    return records, position - 1, whole
  end
  return nil, new_error("io", path
    .. ": this file is not a journal of a run; nothing was changed")
end

-- Brings the file to the end of its last whole line.
local function mend(file, text, length, whole)
  if length == #text then return true end
  local ok, err = file:truncate(length)
  if ok and whole then ok, err = file:write(whole .. "\n") end
  return ok, err
end

local function open_file(path, read_only)
  if not read_only then return core.append(path) end
  local file, why = io.open(path, "rb")
  return file, why and new_error("io", why)
end

local function load_file(path, file, read_only)
  local text, err = file:read "*a"
  if not text then return nil, read_only and new_error("io", path .. ": " .. err) or err end
  local records, length, whole = parse(path, text)
  if not records then return nil, length end
  local ok, why = mend(file, text, read_only and #text or length, whole)
  return ok and records, why
end

--- Opens (or makes) and locks a journal: journal and its records, or nil, err. `read_only`:
--- one that somebody else may be writing; nothing is locked or changed.
function M.open(path, read_only)
  local file, err = open_file(path, read_only)
  if not file then return nil, err end
  local records
  records, err = load_file(path, file, read_only)
  local self = setmetatable({ path = path, file = file, written = 0, synced = 0 }, Journal)
  if read_only or not records then
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
  self.written = self.written + 1
  local body = json.encode(record)
  local line = body:sub(1, -2) .. ',"crc":"' .. core.crc32(body) .. '"}\n'
  return kept(self, self.file:write(line))
end

--- Makes all that was written so far survive a power failure, by one fdatasync.
function Journal:sync()
  if self.failed then return nil, self.failed end
  if self.synced >= self.written then return true end
  self.synced = self.written
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
