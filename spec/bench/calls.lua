-- CPU of one status call on a warm connection, against the least C program that
-- does the same with libcurl: easy_perform in a loop, and a multi with poll; and
-- against a Lua script of lua-curl and lua-cjson. Each runs in a process of its
-- own, in turns; what counts is the median of the ratios.
-- lua spec/bench/calls.lua [calls]

local report = require "spec.bench.report"

local RUNS = 11
local ID = "exec_id018014linkis-cg-entrance127.0.0.1:9104IDE_hadoop_spark_0"
local PATH = "/api/rest_j/v1/entrance/" .. ID .. "/status?taskID=5"

-- The measured process: prints CPU microseconds a call.
local function child(url, calls)
  local core = require "taskclient.core"
  local client = assert(core.client("linkis", { url = url }, {}))
  local opts = { pick = core.picker { "status" } }
  local function status()
    local call = assert(client:start("status", { id = ID, taskID = 5 }, opts))
    while not call:done() do core.step(0.2) end
    local ok, word = call:result()
    assert(ok and word == "Running", word)
  end
  status()
  local from = os.clock()
  for _ = 1, calls do status() end
  print(("%.3f"):format((os.clock() - from) / calls * 1e6))
end

if arg[1] == "child" then return child(arg[2], tonumber(arg[3])) end

local calls = tonumber(arg[1]) or 4000
local lua = arg[-1] or "lua"

local median, output = report.median, report.output

local dir = output "mktemp -d"
local bare = dir .. "/bare"
local said = output(("cc -O2 -D_GNU_SOURCE -o %s spec/bench/bare.c -lcurl 2>&1"):format(bare))

local function start_server()
  local pipe = assert(io.popen(("%s serve >%s/port"):format(bare, dir), "w"))
  for _ = 1, 1000 do
    local file = io.open(dir .. "/port", "rb")
    local port = file and file:read("*a"):match "^(%d+)\n"
    if file then file:close() end
    if port then return pipe, "http://127.0.0.1:" .. port end
    output "sleep 0.01"
  end
  error("the server did not start: " .. said)
end

local server, url = start_server()
local OURS = ("%s spec/bench/calls.lua child %s %d"):format(lua, url, calls)
local peers = {
  { "libcurl in C, easy", ("%s easy '%s%s' %d"):format(bare, url, PATH, calls), "<= 1.10" },
  { "libcurl in C, multi", ("%s multi '%s%s' %d"):format(bare, url, PATH, calls), "<= 1.10" },
}
if output "lua5.1 -e 'require \"curl\" require \"cjson\" print(1)' 2>/dev/null" == "1" then
  peers[3] = { "lua-curl and lua-cjson by hand",
    ("lua5.1 spec/bench/lua_curl.lua '%s%s' %d"):format(url, PATH, calls), "<= 1.00" }
end

local function cpu(command) return assert(tonumber(output(command)), command .. " failed") end

local mine, theirs, ratios = {}, {}, {}
for run = 1, RUNS do
  mine[run] = cpu(OURS)
  for i, peer in ipairs(peers) do
    theirs[i], ratios[i] = theirs[i] or {}, ratios[i] or {}
    theirs[i][run] = cpu(peer[2])
    ratios[i][run] = mine[run] / theirs[i][run]
  end
end
server:close()
os.execute("rm -rf " .. dir)

local function micro(list) return ("%.1f us"):format(median(list)) end

report.heading("CPU of a status call, warm", "peer")
for i, peer in ipairs(peers) do
  report.line(peer[1], micro(mine), micro(theirs[i]), median(ratios[i]), peer[3])
end
if not peers[3] then print "  (a third peer: apt-get install lua-curl lua-cjson lua5.1)" end
