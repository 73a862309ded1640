-- In a real nginx of one worker, with its thread pool and without: the p99 of
-- a location that has nothing to do with jobs, while 0 and 200 are watched;
-- and the CPU of a status call against a hand-written cosocket request.
-- lua spec/bench/nginx.lua [requests]

package.path = "./?.lua;" .. package.path
local report = require "spec.bench.report"
local nginx = require "spec.support.nginx"
local uv = require "luv"

local REQUESTS = tonumber(arg[1]) or 1000
local EVERY = 2 -- ms between two requests
local CALLS, RUNS = 3000, 5
local output = report.output

local dir = output "mktemp -d"
local bare = dir .. "/bare"
local said = output(("cc -O2 -D_GNU_SOURCE -o %s spec/bench/bare.c -lcurl 2>&1"):format(bare))
local server = assert(io.popen(("%s serve >%s/port"):format(bare, dir), "w"))
local port = output((
  "for i in $(seq 500); do test -s %s/port && break; sleep 0.02; done; cat %s/port"
):format(dir, dir))
assert(port ~= "", "the server did not start: " .. said)

local function start(pool)
  local places = { ["/ping"] = 'ngx.print "pong"' }
  for _, name in ipairs { "ours", "cosocket" } do
    places["/" .. name] = (
      'require("spec.bench.nginx_side").%s(%s, tonumber(ngx.var.arg_tasks), %d)'
    ):format(name, port, CALLS)
  end
  places["/watch"] = ('require("spec.bench.nginx_side").watch(%s, 200)'):format(port)
  return nginx.start { pool = pool, locations = places }
end

-- The p99 of /ping in ms, asked for at a fixed rate on one connection.
local function p99(web)
  local times, sent, began = {}, 0, nil
  local pipe, clock = uv.new_pipe(false), uv.new_timer()
  pipe:connect(web.dir .. "/socket", function(err)
    assert(not err, err)
    pipe:read_start(function(why, bytes)
      assert(not why and bytes, why or "closed")
      if not began or not bytes:find "pong" then return end
      times[#times + 1], began = (uv.hrtime() - began) / 1e6, nil
      if #times == REQUESTS then
        clock:close()
        pipe:close()
      end
    end)
    clock:start(EVERY, EVERY, function()
      if began or sent == REQUESTS then return end
      sent, began = sent + 1, uv.hrtime()
      pipe:write "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
    end)
  end)
  uv.run()
  table.sort(times)
  return times[math.ceil(#times * 0.99)]
end

-- nanoseconds that all threads of the worker have run
local function cpu(pid)
  local sum = 0
  for text in output("cat /proc/" .. pid .. "/task/*/schedstat"):gmatch "[^\n]+" do
    sum = sum + tonumber(text:match "^%d+")
  end
  return sum
end

local function cpu_of(web, place)
  local pid = output("pgrep -P " .. web:pid())
  local before = cpu(pid)
  web:get(place)
  return (cpu(pid) - before) / CALLS / 1000
end

local WAYS = { { true, "thread pool" }, { false, "tick" } }

report.heading("nginx: an unrelated location", "0 jobs")
for _, way in ipairs(WAYS) do
  local idle, busy = start(way[1]), start(way[1])
  busy:get("/ours?tasks=20") -- all connections are warm
  busy:get "/watch"
  local without, with = math.huge, math.huge -- the best of each: the machine has other work
  for _ = 1, RUNS do
    without, with = math.min(without, p99(idle)), math.min(with, p99(busy))
  end
  report.line(("p99, 200 jobs watched, %s"):format(way[2]), ("%.2f ms"):format(with),
    ("%.2f ms"):format(without), with - without, "<= 1.00")
  idle:stop()
  busy:stop()
end
print "  (here the ratio is the difference in ms)"

report.heading("nginx: CPU of a status call", "cosocket")
for _, way in ipairs(WAYS) do
  local web = start(way[1])
  for _, tasks in ipairs { 1, 20 } do
    local ours, theirs, ratios = {}, {}, {}
    local calls = "?tasks=" .. tasks
    web:get("/ours" .. calls)
    web:get("/cosocket" .. calls)
    for run = 1, RUNS do
      ours[run], theirs[run] = cpu_of(web, "/ours" .. calls), cpu_of(web, "/cosocket" .. calls)
      ratios[run] = ours[run] / theirs[run]
    end
    report.line(("%s, %d at a time"):format(way[2], tasks),
      ("%.1f us"):format(report.median(ours)), ("%.1f us"):format(report.median(theirs)),
      report.median(ratios), "<= 0.80")
  end
  web:stop()
end
server:close()
os.execute("rm -rf " .. dir)
