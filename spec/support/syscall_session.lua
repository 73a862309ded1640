-- What runs while a system call fails (spec/fault/syscall_spec.lua): one submit
-- and one result saved. Says in a line each what came of them; the two files
-- that are not there mark where it begins and ends in a trace.
-- Arguments: URL of the fault server, path of the saved file.

local url, path = ...

local taskclient = require "taskclient"
require "taskclient.linkis" -- and all it uses
require "taskclient.linkis.results.save"

local function told(value, err)
  return value and tostring(value) or ("error %s %s"):format(err.kind, tostring(err.outcome))
end

io.open "/taskclient-begins"
local client, why = taskclient.linkis { url = url, user = "u", token = "t", submit_timeout = 1 }
local submitted, saved
if client then
  local job, err = client:submit { code = "select 1", run_type = "sql", engine = "spark-3.2.1" }
  submitted = told(job and job.id, err)
  local sets
  sets, err = client:attach(12):results()
  saved = told(sets and "sets", err)
  if sets then saved = told(sets[1]:save(path, { overwrite = true })) end
  client:close()
end
io.open "/taskclient-ends"
print(submitted or told(nil, why))
print(saved)
