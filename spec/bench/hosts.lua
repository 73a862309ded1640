-- CPU and rate of a status call in each host, on a warm connection, against
-- the least C program that does the same with a libcurl multi. Each runs in a
-- process of its own, in turns; what counts is the median of the ratios.
-- lua spec/bench/hosts.lua [calls]

local report = require "spec.bench.report"

local RUNS = 7
local ID = "exec_id018014linkis-cg-entrance127.0.0.1:9104IDE_hadoop_spark_0"
local PATH = "/api/rest_j/v1/entrance/" .. ID .. "/status?taskID=5"

local HOSTS = {
  { "plain", "<= 1.10" }, { "loop", "<= 1.30" }, { "luv", "<= 1.30" },
  { "cqueues", "<= 1.30" }, { "copas", "<= 1.30" },
}

-- The measured process: prints CPU microseconds a call and calls a second.
local function child(name, url, calls)
  local core = require "taskclient.core"
  local client = assert(core.client("linkis", { url = url }, {}))
  local opts = { pick = core.picker { "status" } }
  local host = require("taskclient.host." .. name)
  local function status()
    local call = assert(client:start("status", { id = ID, taskID = 5 }, opts))
    host.await(call)
    local ok, word = call:result()
    assert(ok and word == "Running", word)
  end
  local ok, why = require("spec.host.cases").inside[name](function()
    status()
    local from, began = os.clock(), core.now()
    for _ = 1, calls do status() end
    print(("%.3f %.0f"):format((os.clock() - from) / calls * 1e6, calls / (core.now() - began)))
  end)
  assert(ok, why)
end

if arg[1] == "child" then return child(arg[2], arg[3], tonumber(arg[4])) end

local calls = tonumber(arg[1]) or 4000
local lua = arg[-1] or "lua"
local median, output = report.median, report.output

local server = report.server()

local function numbers(command)
  local cpu, rate = server:counted(calls + 1, output, command):match "^([%d.]+)%s*(%d*)"
  return assert(tonumber(cpu), command .. " failed"), tonumber(rate)
end

-- copas is not there for Lua 5.4
local function interpreter(name)
  for _, candidate in ipairs { lua, "luajit", "lua5.1" } do
    local module = (name == "plain" or name == "loop") and "string" or name
    local env = ("LUA_CPATH='./build/%s/?.so;;'"):format(candidate)
    if output(("%s %s -e 'require \"%s\" require \"taskclient.core\" print(1)' 2>/dev/null")
      :format(env, candidate, module)) == "1" then
      return candidate, env .. " " .. candidate
    end
  end
end

report.heading("CPU of a status call by host", "C multi")
for _, host in ipairs(HOSTS) do
  local name, aim = host[1], host[2]
  local which, command = interpreter(name)
  local ours, theirs, ratios, rates = {}, {}, {}, {}
  local fine, why = pcall(function()
    assert(which, "no Lua here has it and a core built for it")
    for run = 1, RUNS do
      ours[run], rates[run] = numbers(("%s spec/bench/hosts.lua child %s %s %d 2>&1")
        :format(command, name, server.url, calls))
      theirs[run] = numbers(("%s multi '%s%s' %d"):format(server.bare, server.url, PATH, calls))
      ratios[run] = ours[run] / theirs[run]
    end
  end)
  if fine then
    report.line(("%s, %s, %d a second"):format(name, which, median(rates)),
      ("%.1f us"):format(median(ours)), ("%.1f us"):format(median(theirs)), median(ratios), aim)
  else
    report.unmeasured(name, why)
  end
end
server:stop()
