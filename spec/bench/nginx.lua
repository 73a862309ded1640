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

if output "test -e build/luajit/taskclient/core.so -a -d build/nginx && echo yes" ~= "yes" then
  report.unmeasured("nginx", "needs luajit, a core built for it and build/nginx")
  return
end

local server = report.server()
local port = server.port

local function start(pool)
  local places = { ["/ping"] = 'ngx.print "pong"' }
  for _, name in ipairs { "ours", "cosocket" } do
    places["/" .. name] = (
      'require("spec.bench.nginx_side").%s(%s, tonumber(ngx.var.arg_tasks), %d)'
    ):format(name, port, CALLS) .. " ngx.print 'done'"
  end
  places["/watch"] = ('require("spec.bench.nginx_side").watch(%s, 200)'):format(port)
    .. " ngx.print 'done'"
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

-- A location that did not do its work is no measurement.
local function ask(web, place, wanted)
  local body = web:get(place)
  assert(body == wanted, place .. ": " .. body:sub(1, 200))
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
  server:counted(CALLS, ask, web, place, "done")
  return (cpu(pid) - before) / CALLS / 1000
end

local WAYS = { { true, "thread pool" }, { false, "tick" } }

-- The best of some p99: the machine has other work. Watched jobs must have been asked for.
local function best_p99(web, jobs)
  local best, before, began = math.huge, server:served(), uv.hrtime()
  for _ = 1, RUNS do best = math.min(best, p99(web)) end
  local expected = jobs * (uv.hrtime() - began) / 1e9
  local asked = server:served() - before
  assert(asked >= expected / 2, ("%d looks at jobs instead of %.0f"):format(asked, expected))
  return best
end

local function compare_p99(pool)
  local idle, busy = start(pool), start(pool)
  local fine, with, without = pcall(function()
    ask(busy, "/ours?tasks=20", "done") -- all connections are warm
    ask(busy, "/watch", "done")
    local quiet = best_p99(idle, 0)
    return best_p99(busy, 200), quiet
  end)
  idle:stop()
  busy:stop()
  assert(fine, with)
  return with, without
end

report.heading("nginx: an unrelated location", "0 jobs")
for _, way in ipairs(WAYS) do
  local what = ("p99, 200 jobs watched, %s"):format(way[2])
  local fine, with, without = pcall(compare_p99, way[1])
  if fine then
    report.line(what, ("%.2f ms"):format(with), ("%.2f ms"):format(without), with - without,
      "<= 0.20")
  else
    report.unmeasured(what, with)
  end
end
print "  (here the ratio is the difference in ms)"

local function multi()
  local command = ("%s multi '%s%s' %d"):format(server.bare, server.url,
    "/api/rest_j/v1/entrance/x/status?taskID=5", CALLS)
  return assert(tonumber(server:counted(CALLS + 1, output, command)))
end

report.heading("nginx: CPU of a status call", "peer")
for _, way in ipairs(WAYS) do
  local web = start(way[1])
  for _, tasks in ipairs { 1, 20 } do
    local ours, cosocket, bare, to_cosocket, to_bare = {}, {}, {}, {}, {}
    local what, calls = ("%s, %d at a time"):format(way[2], tasks), "?tasks=" .. tasks
    local fine, why = pcall(function()
      ask(web, "/ours" .. calls, "done")
      ask(web, "/cosocket" .. calls, "done")
      for run = 1, RUNS do
        ours[run], cosocket[run] = cpu_of(web, "/ours" .. calls), cpu_of(web, "/cosocket" .. calls)
        bare[run] = multi()
        to_cosocket[run], to_bare[run] = ours[run] / cosocket[run], ours[run] / bare[run]
      end
    end)
    if fine then
      local median, mine = report.median, ("%.1f us"):format(report.median(ours))
      report.line(what .. " / libcurl multi", mine, ("%.1f us"):format(median(bare)),
        median(to_bare), tasks == 1 and "<= 2" or "<= 1.3")
      report.line(what .. " / cosocket", mine, ("%.1f us"):format(median(cosocket)),
        median(to_cosocket), "<= 4")
    else
      report.unmeasured(what, why)
    end
  end
  web:stop()
end
server:stop()
