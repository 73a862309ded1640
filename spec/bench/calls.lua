-- CPU of one status call on a warm connection, as users make it (job:status()) and
-- by the core alone (client:start and a pick), against the least C program that
-- does the same with libcurl: easy_perform in a loop, and a multi with poll; and
-- against a Lua script of lua-curl and lua-cjson. Each runs in a process of its
-- own, in turns; what counts is the median of the ratios.
-- lua spec/bench/calls.lua [calls]

local report = require "spec.bench.report"

local RUNS = 11
local ID = "exec_id018014linkis-cg-entrance127.0.0.1:9104IDE_hadoop_spark_0"
local STATUS = "/api/rest_j/v1/entrance/" .. ID .. "/status?taskID=5"

local RECORD = "/api/rest_j/v1/jobhistory/39/get"

local work = {}

function work.method(url)
  local taskclient = require "taskclient"
  local job = assert(taskclient.linkis { url = url, user = "bench", token = "bench" }):attach(39)
  return function()
    local state = job:status()
    assert(state == "running", state)
  end
end

function work.core(url)
  local core = require "taskclient.core"
  local client = assert(core.client("linkis", { url = url }, {}))
  local opts = { pick = core.picker { "status" } }
  return function()
    local call = assert(client:start("status", { id = ID, taskID = 5 }, opts))
    while not call:done() do core.step(0.2) end
    local ok, word = call:result()
    assert(ok and word == "Running", word)
  end
end

-- The measured process: prints CPU microseconds a call.
local function child(name, url, calls)
  local once = work[name](url)
  once()
  local from = os.clock()
  for _ = 1, calls do once() end
  print(("%.3f"):format((os.clock() - from) / calls * 1e6))
end

if arg[1] == "child" then return child(arg[2], arg[3], tonumber(arg[4])) end

local calls = tonumber(arg[1]) or 4000
local lua = arg[-1] or "lua"
local median, output = report.median, report.output
local server = report.server()

local function ours(name)
  return ("%s spec/bench/calls.lua child %s %s %d"):format(lua, name, server.url, calls)
end

local function bare(how, path)
  return ("%s %s '%s%s' %d"):format(server.bare, how, server.url, path, calls)
end

local PAIRS = {
  { "job:status() / libcurl easy in C", ours "method", bare("easy", RECORD), "<= 1.15" },
  { "core call / libcurl easy in C", ours "core", bare("easy", STATUS), "<= 1.10" },
  { "core call / libcurl multi in C", ours "core", bare("multi", STATUS), "<= 1.10" },
  { "core call / lua-curl, lua-cjson", ours "core",
    ("lua5.1 spec/bench/lua_curl.lua '%s%s' %d"):format(server.url, STATUS, calls), "<= 1.00" },
}

local function cpu(command)
  return assert(tonumber(server:counted(calls + 1, output, command .. " 2>&1")), command)
end

local function micro(list) return ("%.1f us"):format(median(list)) end

report.heading("CPU of a status call, warm", "peer")
for _, pair in ipairs(PAIRS) do
  local mine, theirs, ratios = {}, {}, {}
  local fine, why = pcall(function()
    for run = 1, RUNS do
      mine[run], theirs[run] = cpu(pair[2]), cpu(pair[3])
      ratios[run] = mine[run] / theirs[run]
    end
  end)
  if fine then
    report.line(pair[1], micro(mine), micro(theirs), median(ratios), pair[4])
  else
    report.unmeasured(pair[1], why)
  end
end
server:stop()
