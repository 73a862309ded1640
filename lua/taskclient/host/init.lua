-- Which host waits: the client's own choice, else nginx where `ngx` is there,
-- else the scheduler whose task is running, else plain. Knows the hosts by
-- name only; each is a table {name=, await=function(call), sleep=function(s)},
-- with ready=function() where it cannot wait everywhere, and apart=function(fn)
-- where a coroutine can be ended from outside while it waits.

local core = require "taskclient.core"
local options = require "taskclient.options"
local loop = require "taskclient.host.loop"
local plain = require "taskclient.host.plain"

local M = {}

local NAMES = { "plain", "loop", "nginx", "luv", "cqueues", "copas" }

--- The host of that name, or the given host table itself, checked.
---@param host string|table
---@return table|nil host
---@return string|nil why what is wrong with it
function M.find(host)
  if type(host) == "table" then
    if type(host.await) == "function" and type(host.sleep) == "function" then
      return host
    end
    return nil, "a host needs the functions await and sleep"
  end
  for _, name in ipairs(NAMES) do
    if name == host then
      local ok, found = pcall(require, "taskclient.host." .. name)
      if ok then return found end
      local why = tostring(found):gsub("\n\tno f[^\n]*", "") -- where it was looked for
      return nil, ("the host '%s' cannot run here: %s"):format(name, why)
    end
  end
  return nil, options.unknown("host", host, NAMES)
end

local nginx -- the nginx host, false where there is none, nil before the first look

local function find_nginx()
  local ngx = rawget(_G, "ngx")
  if type(ngx) ~= "table" or type(ngx.sleep) ~= "function" then
    nginx = false
    return false
  end
  nginx = require "taskclient.host.nginx"
  return nginx
end

--- The host in use for this client, here and now.
---@param client userdata|nil
---@return table host
function M.current(client)
  local chosen = client and core.fields(client).host
  if chosen then return chosen end
  if nginx or nginx == nil and find_nginx() then return nginx end
  if loop.current() then return loop end
  return plain
end

return M
