-- The workflow layer against a stub of the server (spec/support/task_stub.lua,
-- another process): own CPU of submit_many per job against the least C program
-- that POSTs the same with libcurl; memory, disk and requests against what the
-- number of jobs would allow. lua spec/bench/workflow.lua [jobs]

local report = require "spec.bench.report"

local PATH = "/api/rest_j/v1/entrance/submit"
local RUNS = 3

local function client_of(url)
  return assert(require("taskclient").linkis { url = url, user = "u", token = "T" })
end

-- A generator of a million specs, of which the first n are wanted.
local function specs(n, on_spec)
  local i = 0
  return function()
    i = i + 1
    if on_spec then on_spec(i) end
    if i <= math.min(n, 1e6) then
      return { code = "job-" .. i, run_type = "shell", engine = "shell-1" }
    end
  end
end

local measure = {}

-- CPU microseconds a job.
function measure.cpu(url, n)
  local client = client_of(url)
  local warm = client:submit_many(specs(10), { poll = 0.05 })
  assert(warm:finish())
  local from = os.clock()
  local summary = assert(client:submit_many(specs(n), { active = 100, poll = 0.05 }):finish())
  assert(summary.succeeded == n)
  return (os.clock() - from) / n * 1e6
end

-- Kilobytes in use after a tenth of the jobs and after all of them.
function measure.memory(url, n)
  local used = {}
  local cursor = client_of(url):submit_many(specs(1e6, function(i)
    if i ~= n / 10 and i ~= n then return end
    collectgarbage()
    collectgarbage()
    used[#used + 1] = collectgarbage "count"
  end), { active = 100, poll = 0.05 })
  for _ = 1, n do assert(cursor:read()) end
  return used[1], used[2]
end

-- Times the journal went to the disk.
function measure.syncs(url, n)
  local core = require "taskclient.core"
  local append, syncs = core.append, 0
  core.append = function(path)
    local file = assert(append(path))
    local proxy = setmetatable({}, { __index = function(_, name)
      return function(_, ...)
        if name == "sync" then syncs = syncs + 1 end
        return file[name](file, ...)
      end
    end })
    return proxy
  end
  local path = os.tmpname()
  os.remove(path)
  local run = assert(require("taskclient").journal(path))
  local cursor = client_of(url):submit_many(specs(n), { active = 100, poll = 0.05, journal = run })
  assert(assert(cursor:finish()).succeeded == n)
  run:close()
  os.remove(path)
  return syncs
end

-- Has n jobs, which have all ended, waited for.
function measure.wait(url, n)
  local client, jobs = client_of(url), {}
  for id = 1, n do jobs[id] = client:attach(id) end
  return #assert(require("taskclient").wait_all(jobs, { poll = 1 }))
end

if arg[1] == "child" then return print(measure[arg[2]](arg[3], tonumber(arg[4]))) end

local jobs = tonumber(arg[1]) or 10000
local lua = arg[-1] or "lua"
local dir = report.output "mktemp -d"
local bare = dir .. "/bare"
local said = report.output(
  ("cc -O2 -D_GNU_SOURCE -o %s spec/bench/bare.c -lcurl 2>&1"):format(bare))

-- The stub ends when its standard input, held by this pipe, does.
local stub = assert(io.popen(("exec lua5.4 spec/support/task_stub.lua %s/port %s/tasks")
  :format(dir, dir), "w"))
local port
for _ = 1, 500 do
  local file = io.open(dir .. "/port")
  port = file and file:read "*l"
  if file then file:close() end
  if port then break end
  report.output "sleep 0.02"
end
local url = "http://127.0.0.1:" .. assert(port, "no stub: " .. said)

local function child(what, n)
  local out = report.output(("%s spec/bench/workflow.lua child %s %s %d"):format(lua, what, url, n))
  local a, b = out:match "^([%d.]+)%s*([%d.]*)$"
  return assert(tonumber(a), what .. ": " .. out), tonumber(b)
end

local function requests()
  return tonumber(report.output(("curl -s %s/counts"):format(url)):match '"requests":(%d+)')
end

local BODY = '{"executionContent":{"code":"job-1","runType":"shell"},"labels":{"engineType":'
  .. '"shell-1","userCreator":"u-taskclient"},"params":{"configuration":{"runtime":{},"startup":'
  .. '{}},"variable":{}},"source":{"taskclient.key":"0123456789abcdef0123456789abcdef"}}'

local ours, theirs, ratios = {}, {}, {}
for run = 1, RUNS do
  theirs[run] = tonumber(report.output(("%s post %s%s %d '%s'"):format(bare, url, PATH, jobs,
    BODY)))
  ours[run] = child("cpu", jobs)
  ratios[run] = ours[run] / theirs[run]
end
report.heading("submit_many and waits", "libcurl in C")
report.line("CPU a job", ("%.0f us"):format(report.median(ours)),
  ("%.0f us"):format(report.median(theirs)), report.median(ratios), "<= 2.0")

report.heading("  of " .. jobs .. " jobs", "allowed")
local early, late = child("memory", jobs)
report.line("memory at the end, at a tenth", ("%.0f KB"):format(late), ("%.0f KB"):format(early),
  late / early, "<= 1.10")
local syncs = child("syncs", jobs)
report.line("fsyncs, a job has", ("%d"):format(syncs), ("%d"):format(jobs), syncs / jobs, "<= 0.10")
local before = requests()
child("wait", jobs)
local round = requests() - before - 1
report.line("requests of a round of waiting", ("%d"):format(round),
  ("%d"):format(math.ceil(jobs / 30)), round / math.ceil(jobs / 30), "<= 1.00")

stub:close()
os.execute("rm -rf " .. dir)
