-- What `require "taskclient"` returns: the two constructors, the scheduler, the
-- workflow helpers. Loads each part when it is first asked for.

local core = require "taskclient.core"
local options = require "taskclient.options"
require "taskclient.workflow.submit_many" -- gives jobs `wait` and clients `submit_many`

local M = {
  version = core.version,
  null = core.null,
}

--- A client of a Linkis gateway; what is not said comes from TASKCLIENT_LINKIS_URL, _USER,
--- _PASSWORD and _TOKEN.
---@param opts taskclient.linkis_options|nil
---@return taskclient.Linkis|nil client
---@return table|nil err
function M.linkis(opts)
  local client, err = require("taskclient.linkis").new(opts)
  return client, err
end

--- A client of a Lindorm LTS master; TASKCLIENT_LINDORM_URL where no url is given.
---@param opts taskclient.lindorm_options|nil
---@return taskclient.Lindorm|nil client
---@return table|nil err
local function new_lindorm(_, opts)
  local client, err = require("taskclient.lindorm").new(opts)
  return client, err
end

-- `taskclient.lindorm{…}` makes a client, `taskclient.lindorm.csv{…}` a config.
M.lindorm = setmetatable({}, {
  __call = new_lindorm,
  __index = function(_, name) return require("taskclient.lindorm.config")[name] end,
})

--- Marks a table as an array, so that it stays one in JSON when it is empty.
---@param t table|nil
---@return table t
function M.array(t)
  if t ~= nil then options.argument("array", "t", t, "table") end
  return core.array(t)
end

--- Waits that long; other tasks and transfers go on.
---@param seconds number
function M.sleep(seconds)
  options.argument("sleep", "seconds", seconds, "duration")
  require("taskclient.host").current().sleep(seconds)
end

-- name -> module and its member, loaded when first asked for
local PARTS = {
  run = { "host.scheduler", "run" }, spawn = { "host.scheduler", "spawn" },
  join = { "host.scheduler", "join" }, limit = { "host.scheduler", "limit" },
  wait_all = { "workflow.wait", "wait_all" }, wait_any = { "workflow.wait", "wait_any" },
  as_completed = { "workflow.wait", "as_completed" },
  journal = { "run", "open" }, progress = { "ui.progress" },
  printer = { "ui.printer", "new" },
}

--- `taskclient.host` is the host in use here and now.
local function part(t, name)
  if name == "host" then return require("taskclient.host").current() end
  local where = PARTS[name]
  if not where then return nil end
  local found = require("taskclient." .. where[1])
  if where[2] then found = found[where[2]] end
  rawset(t, name, found)
  return found
end

local function describe()
  return "taskclient " .. core.version .. ": linkis{…}, lindorm{…}; see README.md"
end

return setmetatable(M, { __index = part, __tostring = describe })
