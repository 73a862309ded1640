-- Finding tasks by the key they carry, in the list of the server. That there is
-- none is said only of a list that was read as far back as the task may stand,
-- by the server's own time. Knows records and the list; sends no submit.

local clock = require "taskclient.rpc.clock"
local history = require "taskclient.linkis.history"
local list = require "taskclient.linkis.list"
local spec_module = require "taskclient.linkis.spec"

local M = {}

local PAGE = 100
-- Seconds by which the clocks of a server's machines may differ, and an hour by which its Date
-- may change with the season.
local SLACK = 4500
-- The server is asked for records of so many seconds more than are looked at: that spares it a
-- search through years, and is no judgement.
local FILTER = 86400

-- The time of the oldest record wanted, where `ago` tells for how long (nil: not known).
local function oldest_of(client, ago)
  return function(newest)
    local seconds = ago()
    if not seconds then return nil end
    return math.min(newest, clock.server(client) or newest) - seconds - SLACK
  end
end

local function filter_of(client, ago)
  local server, seconds = clock.server(client), ago()
  local since = server and seconds and server - seconds - FILTER
  return since and since > 0 and since or nil
end

-- One reading of the list: what `fn` gives, or nil; an err; whether there was any record.
local function read(client, fn, ago, since, opts)
  local plain = opts.creator and opts.creator:match "^[%w_]+$" -- the list refuses others
  local cursor = list.open(client, { since = since, creator = plain, page_size = PAGE },
    { deadline = opts.deadline }, oldest_of(client, ago))
  local any = false
  while true do
    local record, err = cursor:read()
    if not record then return nil, err, any end
    any = true
    local key = spec_module.key_of(record)
    local found = key and fn(key, record)
    if found then return found end
  end
end

--- Calls `fn(key, record)` for each task that carries a key, newest first, until it gives
--- something.
---@param client userdata
---@param ago fun(): number|nil seconds since which such a task may have been made
---@param opts table creator, deadline
---@param fn fun(key: string, record: table): any
---@return any what `fn` gave, nil at the end
---@return table|nil err
function M.each(client, ago, opts, fn)
  local since = filter_of(client, ago)
  local found, err, any = read(client, fn, ago, since, opts)
  if found or err or any or not since then return found, err end
  found, err = read(client, fn, ago, nil, opts) -- a wrong Date may have hidden all there is
  return found, err
end

-- Whether a record is what a refused submit has left: it failed before it had an execID.
local function is_refused(record)
  return history.state(record.status) == "failed" and not history.text(record.execId)
end

local function id_of(record) return history.task_id(record.taskID) end

-- Of several tasks with one key the first one, which is the same for whoever looks; what was
-- refused counts only where there is nothing else, and then the latest.
local function first_of(records)
  local first, refused
  for _, record in ipairs(records) do
    if is_refused(record) then
      refused = refused or record
    elseif not first or id_of(record) < id_of(first) then
      first = record
    end
  end
  return first or refused
end

--- The task that carries a key.
---@param client userdata
---@param key string
---@param ago fun(): number|nil
---@param opts table creator, deadline; sole = true: nobody else can have used the key; after: no
---  task up to this id counts
---@return table|nil record nil, nil when there is none
---@return table|nil err
---@return integer[] others ids of further tasks with the key, ascending
function M.find(client, key, ago, opts)
  local records, others = {}, {}
  local _, err = M.each(client, ago, opts, function(found, record)
    local counts = found == key and id_of(record) > (opts.after or 0)
    if counts then records[#records + 1] = record end
    return counts and opts.sole
  end)
  local first = first_of(records)
  for _, record in ipairs(records) do
    if record ~= first and not is_refused(record) then others[#others + 1] = id_of(record) end
  end
  table.sort(others)
  return first, not first and err or nil, others
end

return M
