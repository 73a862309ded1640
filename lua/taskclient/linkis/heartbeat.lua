-- Jobs of some creators are killed by the server unless somebody asks /status
-- every 30 seconds (linkis-wire 3.1). Knows those creators; what /status
-- answers is not looked at.

local core = require "taskclient.core"
local history = require "taskclient.linkis.history"

local M = {}

local CREATORS = { linkiscli = true, bdpclient = true }
local EVERY = 10 -- seconds

--- Whether the job dies without heart-beats.
---@param job userdata
---@return boolean
function M.needed(job)
  local creator = core.fields(job).creator
  return creator ~= nil and CREATORS[creator:lower()] or false
end

--- Asks /status, unless that was just done.
---@param job userdata
---@param entry table what history has just said
function M.send(job, entry)
  local fields = core.fields(job)
  local now = core.now()
  local exec = history.current(job, entry.info and entry.info.strongerExecId or entry.stronger)
  if not exec or fields.beat and now - fields.beat < EVERY then return end
  fields.beat = now
  fields.client:call("status", { id = exec, taskID = fields.id }, { retry = false, timeout = 10 })
end

return M
