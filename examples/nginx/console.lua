-- The handlers of the job console: each is a few lines over taskclient. Runs
-- in nginx; one client a worker, shared by all requests.

local taskclient = require "taskclient"
local cjson = require "cjson.safe"

local M = {}

local client

local function linkis()
  client = client or assert(taskclient.linkis {
    url = os.getenv "TASKCLIENT_LINKIS_URL",
    user = os.getenv "TASKCLIENT_LINKIS_USER",
    password = os.getenv "TASKCLIENT_LINKIS_PASSWORD",
  })
  return client
end

local function answer(status, value)
  ngx.status = status
  ngx.header.content_type = "application/json; charset=utf-8"
  ngx.print(cjson.encode(value))
end

local function refuse(status, message) answer(status, { error = message }) end

-- A task that the server does not know is the asker's mistake, all else is trouble behind.
local function reply(value, err)
  if value ~= nil then return answer(200, value) end
  refuse(err.vanished and 404 or 502, tostring(err))
end

local function read_body()
  ngx.req.read_body()
  return cjson.decode(ngx.req.get_body_data() or "")
end

-- A whole number of the query, its default when it is not there, nil when it is odd.
local function whole(text, default, most)
  if text == nil then return default end
  local n = text:match "^%d+$" and #text < 10 and tonumber(text)
  return n and n >= 1 and n <= most and n or nil
end

-- What the page shows of a job.
local function describe(job)
  local now, err = job:poll()
  if not now then return nil, err end
  if now.err then return nil, now.err end
  return { id = job.id, state = now.state, word = now.native,
    progress = now.progress }
end

local ENDED = { succeeded = true, failed = true, cancelled = true }

local function send(event, value)
  ngx.print("event: ", event, "\ndata: ", cjson.encode(value), "\n\n")
  return ngx.flush(true)
end

-- Sends what changes until the job has ended.
local function watch(job)
  local last
  while true do
    local now, err = describe(job)
    if not now and not err.retryable then return send("trouble", tostring(err)) end
    local shown = now and cjson.encode(now)
    if shown and shown ~= last then
      if not send("state", now) then return end
      last = shown
    end
    if now and ENDED[now.state] then return end
    taskclient.sleep(0.5)
  end
end

local function follow(job)
  local log, err = job:logs { follow = true }
  if not log then return send("trouble", tostring(err)) end
  while true do
    local line, note = log:read()
    if not line then
      if note then send("trouble", tostring(note)) end
      return
    end
    if not send("log", { line = line, late = note and note.late or nil }) then
      return
    end
  end
end

--- Server-Sent Events: log lines as they come, the state as it changes.
local function events(job)
  local _, missing = describe(job)
  if missing and missing.vanished then return reply(nil, missing) end
  ngx.header.content_type = "text/event-stream"
  ngx.header.cache_control = "no-store"
  ngx.header["X-Accel-Buffering"] = "no" -- for an nginx in front of this one
  local watcher = ngx.thread.spawn(watch, job)
  local follower = ngx.thread.spawn(follow, job)
  ngx.thread.wait(watcher)
  ngx.thread.wait(follower)
  local final = describe(job)
  local why = final and final.state ~= "succeeded" and job:error()
  send("end", { state = final and final.state, error = why and tostring(why) })
end

local function submit()
  local spec = read_body()
  if type(spec) ~= "table" or type(spec.code) ~= "string" then
    return refuse(400, "expected JSON with code, engine and run_type")
  end
  local client_here = linkis()
  local fine, job, err = pcall(client_here.submit, client_here, {
    code = spec.code, engine = spec.engine, run_type = spec.run_type,
    creator = "console",
  })
  -- what is wrong with the spec, without the place in this file
  if not fine then return refuse(400, (tostring(job):gsub("^.-:%d+: ", "", 1))) end
  reply(job and { id = job.id }, err)
end

local function recent()
  local jobs = setmetatable({}, taskclient.array {})
  local list = linkis():list { creator = "console" }
  while #jobs < 12 do
    local record, err = list:read()
    if not record then
      if err then return reply(nil, err) end
      break
    end
    jobs[#jobs + 1] = { id = record.taskID, state = record.status,
      run_type = record.runType, code = record.executionCode }
  end
  reply { jobs = #jobs > 0 and jobs or nil }
end

local function results(job)
  local sets, err = job:results()
  if not sets then return reply(nil, err) end
  local names = {}
  for i, set in ipairs(sets) do names[i] = set.name end
  reply { count = #names, names = #names > 0 and names or nil }
end

-- One page of rows: the rows before it are passed over by the server.
local function rows(job, index)
  local page, size = whole(ngx.var.arg_page, 1, 1e6), whole(ngx.var.arg_size, 25, 500)
  if not page or not size then
    return refuse(400, "page: 1 to 1000000, and size: 1 to 500, expected")
  end
  local sets, err = job:results()
  if not sets then return reply(nil, err) end
  local set = sets[tonumber(index)]
  if not set then return refuse(404, "no such result set") end
  local data
  data, err = linkis():call("openFile",
    { path = set.path, page = page, pageSize = size })
  if not data then return reply(nil, err) end
  reply { name = set.name, type = set:type(), columns = data.metadata,
    rows = data.fileContent, page = page,
    more = type(data.fileContent) == "table" and #data.fileContent == size }
end

local function abort(job) reply(job:abort()) end

-- Those whose path has an id get the job.
local ROUTES = {
  { "POST", "^/api/jobs()$", submit },
  { "GET", "^/api/jobs()$", recent },
  { "GET", "^/api/jobs/(%d+)$", function(job) reply(describe(job)) end },
  { "GET", "^/api/jobs/(%d+)/events$", events },
  { "POST", "^/api/jobs/(%d+)/abort$", abort },
  { "GET", "^/api/jobs/(%d+)/results$", results },
  { "GET", "^/api/jobs/(%d+)/results/(%d+)$", rows },
}

-- A browser sends this type across sites only after asking: no foreign page
-- can submit or abort in the user's name.
local function trusted()
  local kind = ngx.var.http_content_type or ""
  return ngx.req.get_method() == "GET" or kind:find("^application/json")
end

-- Runs a route. An id that no task can have is refused where it is attached.
local function run(handler, id, index)
  if not trusted() then return refuse(415, "expected application/json") end
  if type(id) == "number" then return handler() end
  local client_here = linkis()
  local fine, job = pcall(client_here.attach, client_here, id)
  if not fine then return refuse(404, "no task has the id " .. id:sub(1, 40)) end
  handler(job, index)
end

--- content_by_lua of /api/.
function M.serve()
  local method, path = ngx.req.get_method(), ngx.var.uri
  local known
  for _, route in ipairs(ROUTES) do
    local id, index = path:match(route[2])
    if id and route[1] == method then return run(route[3], id, index) end
    known = known or id
  end
  if known then return refuse(405, "not by " .. method) end
  refuse(404, "nothing here")
end

return M
