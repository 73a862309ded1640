-- What spec/bench/nginx.lua runs inside nginx: the same status call by
-- taskclient and by a hand-written cosocket request, and waiting for jobs.

local M = {}

local ID = "exec_id018014linkis-cg-entrance127.0.0.1:9104IDE_hadoop_spark_0"

local function sequence(tasks, n, call)
  local threads = {}
  for i = 1, tasks do
    threads[i] = ngx.thread.spawn(function()
      for _ = 1, n / tasks do call() end
    end)
  end
  for i = 1, tasks do assert(ngx.thread.wait(threads[i])) end
end

local client

local function connect(port)
  local core = require "taskclient.core"
  client = client or assert(core.client("linkis", { url = "http://127.0.0.1:" .. port }, {}))
  return client, core
end

local function status_call(port)
  local _, core = connect(port)
  local opts = { pick = core.picker { "status" } }
  local host = require "taskclient.host.nginx"
  return function()
    local call = assert(client:start("status", { id = ID, taskID = 5 }, opts))
    host.await(call)
    local ok, word = call:result()
    assert(ok and word == "Running", word)
  end
end

-- n calls by so many light threads
function M.ours(port, tasks, n) sequence(tasks, n, status_call(port)) end

-- Watches so many jobs, each by itself once a second, until the worker ends.
function M.watch(port, jobs)
  local call = status_call(port)
  for i = 1, jobs do
    assert(ngx.timer.at(i / jobs, function()
      while not ngx.worker.exiting() do
        call()
        ngx.sleep(1)
      end
    end))
  end
end

local function request(socket)
  assert(socket:send { "GET /api/rest_j/v1/entrance/", ID, "/status?taskID=5 HTTP/1.1\r\n",
    "Host: 127.0.0.1\r\nAccept: */*\r\n\r\n" })
  local headers = {}
  assert(socket:receive "*l":find "^HTTP/1.1 200")
  while true do
    local line = assert(socket:receive "*l")
    if line == "" then break end
    local name, value = line:match "^([^:]+):%s*(.-)%s*$"
    headers[name:lower()] = value
  end
  assert(headers["content-type"]:find "json")
  return assert(socket:receive(tonumber(headers["content-length"])))
end

function M.cosocket(port, tasks, n)
  local cjson = require "cjson"
  sequence(tasks, n, function()
    local socket = ngx.socket.tcp()
    socket:settimeouts(10000, 60000, 60000)
    assert(socket:connect("127.0.0.1", port))
    local reply = cjson.decode(request(socket))
    assert(socket:setkeepalive(10000, 64))
    assert(reply.status == 0 and reply.data.status == "Running")
  end)
end

return M
