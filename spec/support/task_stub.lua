-- A stub of both servers for many short jobs: tasks in memory, ended as soon as
-- they are asked about. Its own process (lua5.4 and luv); writes its port to
-- the file named as argument 1, and each task made to the file of argument 2;
-- ends when its standard input does. Knows just what the client asks for.

local cjson = require "cjson"
local uv = require "luv"

local port_path, tasks_path, idle = arg[1], arg[2], tonumber(arg[3]) or 60
local timer = uv.new_timer()
local tasks, by_id, counts = {}, {}, { linkis = 0, lindorm = 0, requests = 0 }
local ledger = assert(io.open(tasks_path, "a"))
ledger:setvbuf "no"

local function made(service, id, mark)
  ledger:write(service, " ", id, " ", mark, "\n")
end

local function linkis_ok(method, data)
  return cjson.encode { method = method, status = 0, message = "OK", data = data }
end

-- ms of the clock, as the server's dates are
local function now_ms()
  local s, us = uv.gettimeofday()
  return s * 1000 + us // 1000
end

local function submit(body)
  local spec = cjson.decode(body)
  counts.linkis = counts.linkis + 1
  local id = counts.linkis
  local task = { taskID = id, status = "Succeed", progress = "1.0", createdTime = now_ms(),
    sourceJson = cjson.encode(spec.source or {}), requestApplicationName = "x",
      strongerExecId = "" }
  tasks[#tasks + 1], by_id[tostring(id)] = task, task
  made("linkis", id, (spec.executionContent or {}).code or "?")
  return linkis_ok("/api/entrance/submit", { taskID = id,
    execID = "exec_id018008linkis-cg-entrance127.0.0.1:9104x_u_" .. id })
end

local function listing(query)
  local size, page = tonumber(query.pageSize) or 20, tonumber(query.pageNow) or 1
  local rows = {}
  for i = #tasks - (page - 1) * size, math.max(1, #tasks - page * size + 1),
    -1 do rows[#rows + 1] = tasks[i] end
  local data = linkis_ok("/api/jobhistory/list", { totalPage = #tasks, tasks = rows })
  return #rows == 0 and data:gsub('"tasks":{}', '"tasks":[]') or data
end

local function some(query)
  local rows = {}
  for id in (query.taskID or ""):gmatch "%d+" do rows[#rows + 1] = by_id[id] end
  local data = linkis_ok("/api/jobhistory/list-taskids", { jobHistoryList = rows })
  return #rows == 0 and data:gsub('"jobHistoryList":{}', '"jobHistoryList":[]') or data
end

local function create(body)
  counts.lindorm = counts.lindorm + 1
  local id = "proc-" .. counts.lindorm
  made("lindorm", id, body:match "src=([^&]*)" or "?")
  return '{"success":"true","message":"' .. id .. '"}'
end

local function answer(method, path, query, body)
  timer:start(idle * 1000, 0, function() os.exit(1) end)
  counts.requests = counts.requests + 1
  if method == "POST" and path:find "/entrance/submit$" then return submit(body) end
  if path:find "/jobhistory/list$" then return listing(query) end
  if path:find "/jobhistory/list%-taskids$" then return some(query) end
  local id = path:match "/jobhistory/(%d+)/get$"
  if id then return linkis_ok("/api/jobhistory/get", { task = by_id[id] }) end
  if path:find "/user/userInfo$" then return linkis_ok("/api/user/userInfo",
    { userName = "u" }) end
  if path:find "/bulkload/create$" then return create(body) end
  id = path:match "/pro/proc/([^/]+)/info$"
  if id then
    return '{"success":"true","data":{"procId":"' .. id
      .. '","procType":"SPARK_BULKLOAD","state":"SUCCESS"}}'
  end
  if path == "/reset" then
    tasks, by_id = {}, {}
    ledger:close()
    ledger = assert(io.open(tasks_path, "w"))
    ledger:setvbuf "no"
    return "{}"
  end
  if path == "/counts" then return cjson.encode(counts) end
end

local function query_of(text)
  local query = {}
  for name, value in (text or ""):gmatch "([^&=]+)=([^&]*)" do
    query[name] = value:gsub("%%(%x%x)", function(h) return string.char(tonumber(h, 16)) end)
  end
  return query
end

-- One request from the front of a buffer: reply text and the rest, or nil.
local function take(buffer)
  local head, after = buffer:match "^(.-\r\n)\r\n()"
  if not head then return nil end
  local length = tonumber(head:lower():match "content%-length:%s*(%d+)") or 0
  if #buffer < after - 1 + length then return nil end
  local method, target = head:match "^(%u+) (%S+)"
  local path, query = target:match "^([^?]*)%??(.*)"
  local body = answer(method, path, query_of(query), buffer:sub(after, after - 1 + length))
  local status = body and "200 OK" or "404 Not Found"
  body = body or "{}"
  return ("HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s")
    :format(status, #body, body), buffer:sub(after + length)
end

local function serve(client)
  local buffer = ""
  client:read_start(function(err, chunk)
    if err or not chunk then
      if not client:is_closing() then client:close() end
      return
    end
    buffer = buffer .. chunk
    while true do
      local reply, rest = take(buffer)
      if not reply then break end
      buffer = rest
      client:write(reply)
    end
  end)
end

local server = uv.new_tcp()
assert(server:bind("127.0.0.1", 0))
assert(server:listen(128, function(err)
  if err then return end
  local client = uv.new_tcp()
  server:accept(client)
  client:nodelay(true)
  serve(client)
end))
local file = assert(io.open(port_path .. ".new", "w"))
file:write(server:getsockname().port)
file:close()
os.rename(port_path .. ".new", port_path)

-- ends with whoever started it, and when nobody asks any more
local stdin = uv.new_pipe(false)
stdin:open(0)
stdin:read_start(function(_, chunk) if not chunk then os.exit(0) end end)
timer:start(idle * 1000, 0, function() os.exit(1) end)
uv.run()
