-- A user's script for the specs of death and resurrection:
-- lua5.4 workflow_script.lua many|run URL JOURNAL TASKS
-- Started again with the same journal it goes on; prints its report at the end.

local taskclient = require "taskclient"

local what, url, path, tasks_path = arg[1], arg[2], arg[3], arg[4]
local linkis = assert(taskclient.linkis { url = url, user = "u", token = "T",
  allow_plaintext = true })
local run = assert(taskclient.journal(path, { settle = 0.3 }))
local FAST = { poll = 0.01, timeout = 60 }

local function many()
  local specs = {}
  for i = 1, tonumber(os.getenv "SPECS" or 50) do
    specs[i] = { code = "job-" .. i, run_type = "shell", engine = "shell-1" }
  end
  local cursor = linkis:submit_many(specs, { active = 20, journal = run, poll = 0.01,
    timeout = 60 })
  local states = {}
  for ended in cursor do states[ended.index] = ended.state end
  local summary = cursor:summary()
  return #states .. " ends, " .. summary.succeeded .. " succeeded"
end

-- What a person does about an unknown load: looks at the server, and decides.
local function decide(name, mark)
  for line in io.lines(tasks_path) do
    local id, seen = line:match "^lindorm (%S+) (%S+)$"
    if seen == mark then return assert(run:resolve(name, id)) end
  end
  assert(run:forget(name))
end

local function load_once(lindorm, name, mark)
  local spec = { src = mark, dst = "ld", instances = 1, file_type = "CSV",
    reader = { filePath = "x/", column = { "id" } },
    writer = { namespace = "default", lindormTable = "t", columns = { "ROW||String" } } }
  local job, err = run:submit(name, lindorm, spec)
  if job then return job end
  assert(err.kind == "submit_unknown", tostring(err))
  decide(name, mark)
  return assert(run:submit(name, lindorm, spec))
end

local function durable()
  local lindorm = assert(taskclient.lindorm { url = url })
  local report = {}
  for i = 1, 3 do
    local spec = { code = "extract-" .. i, run_type = "shell", engine = "shell-1" }
    report[#report + 1] = assert(assert(run:submit("extract " .. i, linkis, spec)):wait(FAST))
    report[#report + 1] = assert(run:step("save " .. i, function() return "file" .. i end))
    report[#report + 1] = assert(load_once(lindorm, "load " .. i, "load-" .. i):wait(FAST))
  end
  report[#report + 1] = assert(run:step("done", function() return #run:steps() end))
  return table.concat(report, " ")
end

print(what == "many" and many() or durable())
run:close()
