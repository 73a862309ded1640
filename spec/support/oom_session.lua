-- What runs while memory fails (spec/support/oom.c): a whole small day of a
-- client, from the login to the saved rows, on both servers.
-- Arguments: URL of the fault server, folder for what is saved.

local url, folder = ...

local taskclient = require "taskclient"
local core = require "taskclient.core"
require "taskclient.linkis.results"
require "taskclient.linkis.logs.cursor"
for _, name in ipairs { "submit", "abort", "history", "batch_status", "list" } do
  pcall(require, "taskclient.linkis." .. name)
end

local function linkis()
  local client = assert(taskclient.linkis { url = url, user = "hadoop", password = "hadoop" })
  -- the list shows a task with this key, so that an end not known becomes known
  local job = assert(client:submit({
    code = "select 1", run_type = "sql", engine = "spark-3.2.1", key = "k",
  }, { adopt = false }))
  assert(job:wait { timeout = 5, poll = 0.01 })
  for line in job:logs() do assert(line) end
  local set = assert(job:results())[1]
  for row in set:rows { typed = true } do assert(#row == 2) end
  assert(set:save(folder .. "/rows.csv", { overwrite = true }))
  assert(not client:attach(13):info()) -- an HTML page
  assert(tostring(client) and tostring(job))
  client:close()
end

local function lindorm()
  local client = assert(taskclient.lindorm { url = url })
  local info = assert(client:attach("proc-1"):info())
  assert(info.procId == "proc-1")
  client:start("info", { id = "proc-2" }) -- given up by its collection
end

local function raw()
  assert(core.decode '{"a":[1,2.5,"\\u00e4",{"b":null}],"c":9223372036854775807}')
  assert(core.fd())
  local call = core.client("linkis", { url = url }, {}):start("get", { id = "12" })
  core.step(0)
  call:cancel()
  core.step(0)
end

local function everything()
  linkis()
  lindorm()
  raw()
end

-- luacheck: globals arm disarm
arm()
local ok, err = pcall(everything)
disarm()
collectgarbage()
if not ok then error(err, 0) end
