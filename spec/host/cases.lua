-- Which spec files run in every host, and how a host runs a function to its
-- end. The client in the specs names no host: a host that must be named is
-- put into its options here.

local M = {}

M.files = {
  "spec/behaviour/jobs_spec.lua", "spec/behaviour/linkis_abort_spec.lua",
  "spec/behaviour/linkis_session_spec.lua", "spec/behaviour/linkis_submit_spec.lua",
  "spec/behaviour/logs_spec.lua", "spec/behaviour/workflow_spec.lua",
}

-- Cases about a script of its own, or about tasks of our own loop.
local ELSEWHERE = { "Ctrl%-C", "nightly example", "many tasks at the same time",
  "task that waits is cancelled", "server holds its submit" }

---Cases that are no matter of the host.
function M.skip(name)
  for _, pattern in ipairs(ELSEWHERE) do
    if name:find(pattern) then return true end
  end
  return false
end

---Every client made from now on has this host.
---@param name string
function M.name_host(name)
  local taskclient = require "taskclient"
  for _, service in ipairs { "linkis", "lindorm" } do
    local new = taskclient[service]
    taskclient[service] = function(opts)
      local named = { host = name }
      for key, value in pairs(opts or {}) do named[key] = value end
      return new(named)
    end
  end
end

M.inside = {}

function M.inside.plain(fn) return pcall(fn) end

function M.inside.loop(fn) return pcall(require("taskclient").run, fn) end

function M.inside.luv(fn)
  local uv = require "luv"
  local co = coroutine.create(fn)
  local ok, why = coroutine.resume(co)
  while ok and coroutine.status(co) ~= "dead" do
    if not uv.run "once" and coroutine.status(co) ~= "dead" then
      return false, "the loop has ended, the coroutine has not"
    end
  end
  return ok, why
end

function M.inside.cqueues(fn)
  local queue = require("cqueues").new()
  queue:wrap(fn)
  return queue:loop()
end

function M.inside.copas(fn)
  local copas = require "copas"
  local ended, why
  copas.addthread(function()
    copas.setErrorHandler(function(message) ended, why = true, message end)
    fn()
    ended = true
  end)
  while not ended do copas.step(1) end -- copas.loop has no end in copas 1
  return why == nil, why
end

---In nginx the caller itself is a light thread.
M.inside.nginx = M.inside.plain

---Runs the specs in that host.
---@param name string
---@param files? string[]
---@return string report what failed, and last a line "passed failed skipped"
function M.run(name, files)
  local mini = require "spec.support.mini"
  if name ~= "plain" and name ~= "loop" and name ~= "nginx" then M.name_host(name) end
  local sum = mini.run(files or M.files, M.inside[name], M.skip)
  require("spec.support.server").stop()
  local lines = {}
  for i, text in ipairs(sum.notes) do lines[i] = "FAILED " .. text .. "\n" end
  return ("%s%d %d %d\n"):format(table.concat(lines), sum.passed, sum.failed, sum.skipped)
end

return M
