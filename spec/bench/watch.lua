-- Watching 10,000 jobs in one process against watching 1,000: CPU a job and
-- look, and the memory. The jobs are those of a stub of the server (another
-- process), made by somebody else.  lua spec/bench/watch.lua [jobs]

local report = require "spec.bench.report"

local LOOKS = 5

local function client_of(url)
  return assert(require("taskclient").linkis { url = url, user = "u", token = "T" })
end

local measure = {}

function measure.make(url, n)
  local client, i = client_of(url), 0
  assert(client:submit_many(function()
    i = i + 1
    if i <= n then return { code = "job " .. i, run_type = "shell", engine = "shell-1" } end
  end, { active = 100, poll = 0.05 }):finish())
  return n
end

local function peak()
  for line in io.lines "/proc/self/status" do
    local kb = line:match "^VmHWM:%s*(%d+)"
    if kb then return tonumber(kb) / 1024 end
  end
end

-- The jobs as one that knows no more than their ids; what has ended once is
-- not asked for again.
local function attach(client, n)
  local jobs = {}
  for id = 1, n do jobs[id] = client:attach(id) end
  return jobs
end

-- CPU microseconds a job and look, MiB at most
function measure.watch(url, n)
  local client, times = client_of(url), {}
  assert(client:states(attach(client, 30)))
  for look = 1, math.max(LOOKS, math.floor(LOOKS * 1000 / n)) do
    local from = os.clock()
    local entries = assert(client:states(attach(client, n)))
    for _, entry in ipairs(entries) do assert(entry.state, entry.err) end
    times[look] = (os.clock() - from) / n * 1e6
  end
  local ended = assert(require("taskclient").wait_all(attach(client, n), { poll = 1 }))
  assert(#ended == n)
  return report.median(times), peak()
end

if arg[1] == "child" then return print(measure[arg[2]](arg[3], tonumber(arg[4]))) end

local most = tonumber(arg[1]) or 10000
local lua = arg[-1] or "lua"
local dir = report.output "mktemp -d"
local stub = assert(io.popen(("exec lua5.4 spec/support/task_stub.lua %s/port %s/tasks")
  :format(dir, dir), "w"))
local port = report.output((
  "for i in $(seq 500); do test -s %s/port && break; sleep 0.02; done; cat %s/port"
):format(dir, dir))
local url = "http://127.0.0.1:" .. port

local function child(what, n)
  local out = report.output(("%s spec/bench/watch.lua child %s %s %d"):format(lua, what, url, n))
  local a, b = out:match "^([%d.]+)%s*([%d.]*)$"
  return assert(tonumber(a), what .. ": " .. out), tonumber(b)
end

child("make", most)
report.heading("Watching many jobs", "of 1,000")
local few = child("watch", 1000)
for _, n in ipairs { 10, 100, most } do
  local cpu, memory = child("watch", n)
  report.line(("CPU a job and look, of %d"):format(n), ("%.1f us"):format(cpu),
    ("%.1f us"):format(few), cpu / few, "<= 1.10")
  if n == most then
    report.line(("memory at most, %d jobs"):format(n), ("%.0f MiB"):format(memory), "64 MiB",
      memory / 64, "<= 1.00")
  end
end
stub:close()
os.execute("rm -rf " .. dir)
