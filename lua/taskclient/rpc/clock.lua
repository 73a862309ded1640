-- The server's clock, as its replies tell it. Whether a task is older than a
-- moment is decided by that clock and by durations, never by this machine's
-- time of day, which may be wrong or be set while a program runs. rpc/request notes
-- the Date of each reply in the client's fields.

local core = require "taskclient.core"

local M = {}

--- The server's time: Unix seconds, never later than it is; nil where no reply has told it.
---@param client userdata
---@return number|nil
function M.server(client)
  local fields = core.fields(client)
  return fields.server_date and fields.server_date + core.now() - fields.server_heard
end

--- This moment, by every clock there is.
---@param client userdata
---@return table moment for `M.ago` and `M.told`
function M.moment(client)
  return { now = core.now(), time = core.time(), server = M.server(client) }
end

--- How long ago a moment of this process was, by the clock that says the most: the monotonic
--- one stands still while the machine sleeps, and the others may be set.
---@param client userdata
---@param moment table
---@return number seconds
function M.ago(client, moment)
  local server = M.server(client)
  return math.max(core.now() - moment.now, core.time() - moment.time,
    server and moment.server and server - moment.server or 0)
end

--- The server's time at a moment of this process; nil where it was never told.
---@param client userdata
---@param moment table
---@return number|nil Unix seconds, never later than it was
function M.told(client, moment)
  if moment.server then return moment.server end
  local server = M.server(client)
  return server and server - M.ago(client, moment)
end

--- How long ago a time is at the least trusting: `since` may be by the server's clock or by
--- this machine's.
---@param client userdata
---@param since number Unix seconds
---@return number|nil seconds; nil: not known, or in the future
function M.since(client, since)
  local server = M.server(client)
  if not server or since > server then return nil end
  return math.max(server - since, core.time() - since)
end

return M
