-- The servers that behaviour specs run against: the one named by the
-- environment, else one sandbox for the whole busted run, started when the
-- first spec asks for it and stopped when the run ends.

local M = {}

local sandbox

local function start_sandbox()
  if not sandbox then
    sandbox = assert(require("taskclient.sandbox").start {
      users = { hadoop = "hadoop", alice = "alice" }, admin = "hadoop",
      tokens = { ["TEST-CODE"] = "*" },
    })
  end
  return sandbox
end

---A Linkis gateway: { url=, user=, password=, token=, sandbox= or nil }.
function M.linkis()
  local url = os.getenv "TASKCLIENT_LINKIS_URL"
  if url and url ~= "" then
    return {
      url = url, user = os.getenv "TASKCLIENT_LINKIS_USER",
      password = os.getenv "TASKCLIENT_LINKIS_PASSWORD",
      token = os.getenv "TASKCLIENT_LINKIS_TOKEN",
    }
  end
  local box = start_sandbox()
  return { url = box.url, user = "hadoop", password = "hadoop", token = "TEST-CODE",
           sandbox = box }
end

---A Lindorm LTS: { url=, sandbox= or nil }.
function M.lindorm()
  local url = os.getenv "TASKCLIENT_LINDORM_URL"
  if url and url ~= "" then return { url = url } end
  local box = start_sandbox()
  return { url = box.lindorm_url, sandbox = box }
end

---Calls fn as if the environment named no server, user or secret.
function M.without_environment(fn)
  local getenv = os.getenv
  -- luacheck: push ignore 122
  os.getenv = function(name) return not name:find "^TASKCLIENT_LI" and getenv(name) or nil end
  local ok, err = pcall(fn)
  os.getenv = getenv
  -- luacheck: pop
  if not ok then error(err, 0) end
end

---Stops the shared sandbox, if one runs.
function M.stop()
  local box = sandbox
  sandbox = nil
  if box then box:stop() end
end

local found, busted = pcall(require, "busted")
if found and busted.subscribe then
  busted.subscribe({ "suite", "end" }, function()
    M.stop()
    return nil, true
  end)
end

return M
