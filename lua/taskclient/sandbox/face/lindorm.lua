-- The sandbox's Lindorm LTS face: five operations, in the shapes that are published (protocols L2,
-- L3, L7), and in the dialects that the switches of lindorm_schema.lua ask for. Runs in nginx
-- (LuaJIT); the work is the engine's.

local db = require "taskclient.sandbox.face.db"
local json = require "taskclient.sandbox.face.json"
local schema = require "taskclient.sandbox.lindorm_schema"
local settings = require "taskclient.sandbox.face.settings"

local M = {}

-- Settings are JSON; face/settings knows the defaults of schema.lua only.
local function setting(name)
  local value = settings[name]
  if value == nil then return schema.settings[name] end
  return value
end

-- Answers -----------------------------------------------------------------------------------------

local success_words = {
  text = { yes = "true", no = "false" }, upper = { yes = "TRUE", no = "FALSE" },
  boolean = { yes = true, no = false }, absent = {},
}

local function success(verdict)
  local word = (success_words[setting "lindorm_success"] or success_words.text)[verdict]
  return word ~= nil and '"success":' .. json.encode(word) or nil
end

local function object(...)
  local parts = {}
  for i = 1, select("#", ...) do parts[#parts + 1] = (select(i, ...)) end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function said(verdict, text)
  local first, second = success(verdict), '"message":' .. json.encode(text)
  return first and object(first, second) or object(second)
end

local function yes(text) return said("yes", text) end
local function no(text) return said("no", text) end

local SAMPLE = [[{
"data": {
"checkJobs": Array,
"procId": "proc-91-ff383c616e5242888b398e51359c****",
"incrJobs": Array,
"procConfig": Object,
"stage": "WAIT_FOR_SUCCESS",
"fullJobs": Array,
"mergeJobs": Array,
"srcDS": "hdfs",
"sinkDS": "ld-uf6el41jkba96****",
"state": "RUNNING",
"schemaJob": Object,
"procType": "SPARK_BULKLOAD"
},
"success": "true"
}]]

local bodies = {
  login = "<!DOCTYPE html><html><head><title>Login</title></head><body><form method='post'>"
    .. "<input name='username'><input name='password' type='password'></form></body></html>",
  html = "<html><head><title>Error 500</title></head><body><h2>HTTP ERROR 500</h2></body></html>",
  empty = "", sample = SAMPLE,
}

-- True when the switches of this kind act on this request; counts them down.
local function misbehaves(operation)
  if not operation:find(setting "lindorm_match") then return false end
  local times = setting "lindorm_times"
  if times == 0 then return false end
  local any = setting "lindorm_refuse" or setting "lindorm_body" or setting "lindorm_cut"
    or setting "lindorm_status" ~= 0 or setting "lindorm_delay" > 0
  if any and times > 0 then settings.set("lindorm_times", times - 1) end
  return any
end

local function cut_after(body, count)
  ngx.header["Content-Length"] = #body
  if count > 0 then
    ngx.print(body:sub(1, count))
    ngx.flush(true)
  end
  return ngx.exit(444)
end

local function content_type(body)
  return body:sub(1, 1) == "<" and "text/html;charset=utf-8" or "application/json;charset=utf-8"
end

local function misanswer(body)
  local other, delay, cut = setting "lindorm_body", setting "lindorm_delay", setting "lindorm_cut"
  if delay > 0 then ngx.sleep(delay) end
  if setting "lindorm_status" ~= 0 then ngx.status = setting "lindorm_status" end
  if other then body = bodies[other] or tostring(other) end
  ngx.header["Content-Type"] = content_type(body)
  if cut then return cut_after(body, tonumber(cut) or 0) end
  ngx.header["Content-Length"] = #body
  ngx.print(body)
end

local function answer(bad, body)
  if bad then return misanswer(body) end
  ngx.header["Content-Type"] = content_type(body)
  ngx.header["Content-Length"] = #body
  ngx.print(body)
end

-- Requests ----------------------------------------------------------------------------------------

local function unescape(text)
  text = text:gsub("+", " ")
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function form()
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  local name = not body and ngx.req.get_body_file()
  if name then
    local file = io.open(name, "rb")
    body = file:read "*a"
    file:close()
  end
  local fields = {}
  for pair in (body or ""):gmatch("[^&]+") do
    -- the published skeleton breaks its lines inside the body: those blanks are not encoded
    local key, value = pair:match("^%s*([^=]*)=?(.-)%s*$")
    key = unescape(key)
    if fields[key] == nil then fields[key] = unescape(value) end
  end
  return fields
end

local function poke()
  local socket = ngx.socket.udp()
  if socket:setpeername("127.0.0.1", setting "engine_port") then socket:send "!" end
  socket:close()
end

local function command(kind, id)
  db.run("INSERT INTO command(kind, task) VALUES(?, ?)", kind, id)
  poke()
end

-- Waits until the engine has acted, so that the next info shows it.
local function command_done(kind, id)
  local _, order = db.run("INSERT INTO command(kind, task) VALUES(?, ?)", kind, id)
  poke()
  for _ = 1, 500 do
    if db.row("SELECT done FROM command WHERE id = ?", order).done == 1 then return end
    ngx.sleep(0.01)
  end
end

-- Create ------------------------------------------------------------------------------------------

local REQUIRED = { "src", "dst", "readerConfig", "writerConfig", "driverSpec", "instances" }
local SPECS = { small = true, medium = true, large = true, xlarge = true }

local function complaint(fields)
  for _, name in ipairs(REQUIRED) do
    if not fields[name] or fields[name] == "" then return "parameter " .. name .. " is required" end
  end
  for _, name in ipairs { "readerConfig", "writerConfig" } do
    if type(json.decode(fields[name])) ~= "table" then return name .. " is not a JSON object" end
  end
  if not SPECS[fields.driverSpec] then
    return "driverSpec " .. fields.driverSpec .. " is not supported"
  end
  if not fields.instances:find("^%d+$") or tonumber(fields.instances) < 1 then
    return "instances must be a positive number"
  end
  local sources = setting("lindorm").sources
  if sources and not sources[fields.src] then
    return "data source " .. fields.src .. " does not exist"
  end
end

local function random_hex()
  local file = io.open("/dev/urandom", "rb")
  local bytes = file:read(16)
  file:close()
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function create()
  local fields = form()
  local reason = complaint(fields)
  if reason then return no(reason) end
  local last = db.row "SELECT max(seq) AS n FROM sqlite_sequence WHERE name = 'load'"
  local proc_id = ("proc-%d-%s"):format((last.n or 0) + 1, random_hex())
  db.run([[INSERT INTO load(proc_id, src, dst, reader, writer, file_type, fields, state, stage,
    created_ms) VALUES(?, ?, ?, ?, ?, ?, ?, 'RUNNING', 'INIT', ?)]], proc_id, fields.src,
    fields.dst, fields.readerConfig, fields.writerConfig, fields.fileType or "",
    json.encode(fields), math.floor(ngx.now() * 1000))
  poke()
  return yes(proc_id)
end

-- Info --------------------------------------------------------------------------------------------

-- The one product names the id of a sub-job differently from list to list (protocols L7).
local mixed = { schema = "TaskName", full = "jobName", merge = "TaskName" }

local function shown(word) return setting("lindorm_words")[word] or word end

local function sub_job(job)
  local name = setting "lindorm_names"
  if name == "mixed" then name = mixed[job.kind] end
  return { [name] = job.id, state = shown(job.state), table = job.table, message = job.message }
end

local function sub_jobs(all, kind)
  local list = json.array {}
  for _, job in ipairs(all) do
    if job.kind == kind then list[#list + 1] = sub_job(job) end
  end
  if #list > 0 or setting "lindorm_empty" == "array" then return list end
  return setting "lindorm_empty" == "null" and json.null or nil
end

local function schema_job(all)
  local list = sub_jobs(all, "schema")
  if type(list) == "table" and list[1] then return list[1] end
  return setting "lindorm_empty" ~= "absent" and json.null or nil
end

local function info(load)
  local all = json.decode(load.jobs)
  local data = {
    procId = load.proc_id, procType = "SPARK_BULKLOAD",
    state = shown(load.state), stage = shown(load.stage),
    srcDS = load.src, sinkDS = load.dst, procConfig = json.raw(load.fields),
    schemaJob = schema_job(all),
    fullJobs = sub_jobs(all, "full"), mergeJobs = sub_jobs(all, "merge"),
    incrJobs = sub_jobs(all, "incr"), checkJobs = sub_jobs(all, "check"),
  }
  if setting "version" ~= "published" then data.message, data.rows = load.message, load.rows end
  local first, second = '"data":' .. json.encode(data), success "yes"
  return second and object(first, second) or object(first)
end

-- Abort, retry, delete ----------------------------------------------------------------------------

local function abort(load)
  if load.state ~= "RUNNING" then
    return no("process " .. load.proc_id .. " is not running, state " .. load.state)
  end
  command_done("load_abort", load.id)
  return yes "ok"
end

local function retry(load)
  if load.state == "RUNNING" or load.state == "SUCCEEDED" then
    return no("process " .. load.proc_id .. " cannot be retried, state " .. load.state)
  end
  db.run([[UPDATE load SET state = 'RUNNING', stage = 'INIT', message = NULL, ended_ms = NULL
    WHERE id = ?]], load.id)
  command("load_retry", load.id)
  return yes "ok"
end

local function delete(load)
  command_done("load_delete", load.id)
  db.run("DELETE FROM load WHERE id = ?", load.id)
  return yes "ok"
end

local operations = { info = info, abort = abort, retry = retry, delete = delete }

-- The way of a request ----------------------------------------------------------------------------

local function fail(code)
  ngx.status = code
  ngx.header["Content-Type"] = "text/html;charset=utf-8"
  local page = "<html><head><title>Error %d</title></head><body>HTTP ERROR %d</body></html>"
  ngx.print(page:format(code, code))
end

---Makes the tables; face.init has opened the database.
function M.init()
  for _, statement in ipairs(schema.ddl) do db.run(statement) end
end

---Answers one request.
function M.handle()
  settings.refresh()
  local path = ngx.var.request_uri:match("^[^?]*")
  local method = ngx.req.get_method()
  local proc_id, operation = path:match("^/pro/proc/([^/]+)/(%a+)$")
  local creates = proc_id == "bulkload" and operation == "create"
  if not creates and not operations[operation or ""] then return fail(404) end
  if method ~= (creates and "POST" or "GET") then return fail(405) end
  local bad = misbehaves(operation)
  local refuse = bad and setting "lindorm_refuse"
  if refuse then return answer(bad, no(refuse == true and json.null or refuse)) end
  if creates then return answer(bad, create()) end
  local load = db.row("SELECT * FROM load WHERE proc_id = ?", unescape(proc_id))
  answer(bad, load and operations[operation](load)
    or no("process " .. unescape(proc_id) .. " does not exist"))
end

return M
