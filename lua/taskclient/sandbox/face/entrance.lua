-- /entrance/*: the gateway's choice of an entrance, then status, log, progress, kill and the rest
-- as an entrance answers them from its memory (protocols 3.0, 3.3 to 3.10).

local db = require "taskclient.sandbox.face.db"
local execid = require "taskclient.sandbox.execid"
local faults = require "taskclient.sandbox.face.faults"
local json = require "taskclient.sandbox.face.json"
local kill = require "taskclient.sandbox.face.kill"
local logs = require "taskclient.sandbox.face.logs"
local memory = require "taskclient.sandbox.face.memory"
local reply = require "taskclient.sandbox.face.reply"
local ring = require "taskclient.sandbox.ring"
local settings = require "taskclient.sandbox.face.settings"
local submit = require "taskclient.sandbox.face.submit"
local versions = require "taskclient.sandbox.face.versions"

local M = {}

local NO_JOB = "Get job by ID error and cannot obtain the corresponding task status."
  .. "(获取job时发生异常，不能获取相应的任务状态)"
local EMPTY_SLOT = "ID The corresponding job is empty and cannot obtain the corresponding task"
  .. " status."
  .. "(ID 对应的job为空，不能获取相应的任务状态)"
local LOG_ENDED = "The job you just executed has ended. This interface no longer provides a"
  .. " query. It is "
  .. "recommended that you download the log file for"
    .. " viewing.(您刚刚执行的job已经结束，本接口不再提供查询，建议您下载日志文件进行查看)"
local LOG_EMPTY = "Can't find execID(不能找到execID): %sCorresponding job, cannot get"
  .. " log(对应的job，不能获得log)"
local NO_PROGRESS = "The job corresponding to the ID is empty, and the corresponding task"
  .. " progress cannot be "
  .. "obtained.(ID 对应的job为空，不能获取相应的任务进度)"
local FAILOVER_LOG = "The job will failover soon, please try again later(job很快就会failover，请稍后再试)"

local function answer(rq, data, message) reply.backend(rq.method_name, 0, message or "OK", data) end
local function refuse(rq, text, data) reply.backend(rq.method_name, 1, text, data) end

-- The gateway's half: which entrance gets it -------------------------------------------

local function stack(class, text)
  local line = class .. (text and ": " .. text or "")
  return "java.lang." .. line .. "\n\tat org.apache.linkis.gateway.ujes.parser."
    .. "EntranceRequestGatewayParser.parse(EntranceRequestGatewayParser.scala:68)"
end

local function parse_error(rq, class, text)
  reply.gateway(rq.path, 1, class .. ": " .. text, { stack = stack(class, text) }, 200)
end

-- Cuts an execID by its lengths, stumbling where Java's substring does.
local function gateway_parts(rq, id)
  local rest = id:match("^exec_id(.*)$")
  for _, need in ipairs { 3, 6 } do
    if #rest < need then
      return nil, parse_error(rq, "StringIndexOutOfBoundsException", "String index out of range: "
        .. need)
    end
    local digits = rest:sub(need - 2, need)
    if not digits:find "^%d+$" then
      return nil, parse_error(rq, "NumberFormatException", 'For input string: "' .. digits .. '"')
    end
  end
  local need = 6 + tonumber(rest:sub(1, 3)) + tonumber(rest:sub(4, 6))
  if #rest < need then
    return nil, parse_error(rq, "StringIndexOutOfBoundsException", "String index out of range: "
      .. need)
  end
  return execid.parse(id)
end

local function by_task_id(rq, id)
  local number = id:match("^%-?%d+$") and tonumber(id)
  if not number then
    return nil, parse_error(rq, "NumberFormatException", 'For input string: "' .. id .. '"')
  end
  local task = memory.task(number)
  if not task then
    return nil, reply.gateway(rq.path, 1, "taskId " .. id .. " is not exists.", nil, 200)
  end
  return { entrance = memory.route(task.entrance), by_id = task, id = id }
end

local function legacy_target(rq, id)
  local parts = execid.parse_legacy(id)
  if not parts then
    return nil, parse_error(rq, "StringIndexOutOfBoundsException", "String index out of range: 6")
  end
  return { entrance = memory.route(parts.instance), id = id, short = parts.short }
end

-- The request's target, or nil when the gateway has answered.
local function target(rq, raw_id)
  local profile = versions.profile()
  if profile.legacy_exec_id then return legacy_target(rq, ngx.unescape_uri(raw_id)) end
  if not raw_id:find "^exec_id" then
    if profile.task_id_as_id then return by_task_id(rq, raw_id) end
    local class = raw_id:find "^%d%d%d%d" and "StringIndexOutOfBoundsException"
      or "NumberFormatException"
    return nil, parse_error(rq, class, class:find "^S" and "String index out of range: 6"
      or 'For input string: "' .. raw_id:sub(1, 3) .. '"')
  end
  local parts, answered = gateway_parts(rq, raw_id)
  if not parts then return nil, answered end
  if parts.application:lower() ~= "linkis-cg-entrance" then return nil, faults.no_service(rq) end
  if faults.dead_entrance(rq, parts.instance) then return nil end
  local id = ngx.unescape_uri(raw_id)
  local inner = execid.parse(id)
  return { entrance = memory.route(parts.instance), id = id, short = inner and inner.short or "" }
end

-- The entrance's half -----------------------------------------------------------------

-- A task asked for by its id: its job in memory, if it is still there and alive.
local function alive_by_id(to)
  local task = to.by_id
  if memory.is_ended(task.status) or settings.failover or task.entrance == "" then return nil end
  local outcome, found = memory.find(task.entrance, task.short_id)
  if outcome == "found" and found.id == task.id
    and memory.route(task.entrance) == task.entrance then
    to.id = memory.exec_id(task)
    return found
  end
end

local function finished(to) return to.by_id and memory.is_ended(to.by_id.status) end

-- job, or nil with "ended" / "failover" (asked by task id), "unknown" or "empty" (by execID).
local function find(to)
  if to.by_id then
    if finished(to) then return nil, "ended" end
    local job = alive_by_id(to)
    return job, not job and "failover" or nil
  end
  local outcome, job = memory.find(to.entrance, to.short)
  if outcome == "found" then return job end
  return nil, outcome, job
end

local function task_number(rq)
  local text = rq.query.taskID
  if text == nil or text == "" then return nil end
  if not text:find "^%-?%d+$" then
    reply.java("entrance", "NumberFormatException", 'For input string: "' .. text .. '"')
  end
  return tonumber(text)
end

-- Whose jobs live only as long as somebody asks for their state (protocols 3.1).
local heartbeat_creators = { linkiscli = true, bdpclient = true }

local ops = {}

function ops.status(rq, to)
  local job, why = find(to)
  if job then
    if heartbeat_creators[job.creator:lower()] then
      db.run("UPDATE task SET seen_ms = ? WHERE id = ?", math.floor(ngx.now() * 1000), job.id)
    end
    return answer(rq, { status = job.mem_status, execID = to.id })
  elseif why == "ended" or why == "failover" then
    return answer(rq, { status = why == "ended" and to.by_id.status or "Inited", execID = "",
      taskID = to.id })
  elseif why == "empty" then
    return refuse(rq, EMPTY_SLOT)
  end
  local id = task_number(rq)
  if not id then return refuse(rq, NO_JOB) end
  faults.block_on_history()
  local task = memory.task(id)
  answer(rq, { status = task and task.status or "Cancelled", execID = to.id })
end

local function whole(rq, name, default)
  local text = rq.query[name]
  if text == nil then return default end
  if not text:find "^%-?%d+$" then
    reply.java("entrance", "NumberFormatException", 'For input string: "' .. text .. '"')
  end
  return tonumber(text)
end

local function read_log(rq, to, job)
  local from, size = math.max(0, whole(rq, "fromLine", 0)), whole(rq, "size", 100)
  if size < 0 then size = 10000 end
  local profile = versions.profile()
  local lines = ring.read(profile.simple_log and logs.whole(job) or logs.read(job), from, size,
    profile.log_base)
  local data = { execID = to.id, fromLine = from + #lines }
  if rq.query.distinctLevel == "false" then
    for i, line in ipairs(lines) do lines[i] = line or "null" end
    data.log = table.concat(lines, "\n")
  else
    data.log = json.array(ring.levels(lines))
  end
  return data
end

function ops.log(rq, to)
  local job, why = find(to)
  if why == "ended" or why == "unknown" then return refuse(rq, LOG_ENDED) end
  if why == "empty" then return refuse(rq, LOG_EMPTY:format(to.id)) end
  if why == "failover" then
    local text = FAILOVER_LOG
    return answer(rq, { log = json.array { json.null, json.null, text, text }, fromLine = 0,
      execID = "",
      taskID = to.id })
  end
  answer(rq, read_log(rq, to, job))
end

local function progress(rq, to, resources)
  local job, why = find(to)
  if why == "ended" or why == "failover" then
    return answer(rq, { progress = why == "ended" and "1.0" or 0, progressInfo = json.array(),
      execID = "",
      taskID = to.id })
  elseif not job then
    return refuse(rq, NO_PROGRESS)
  end
  local data = { progress = json.double(job.mem_progress),
    progressInfo = json.raw(job.progress_info),
    execID = to.id }
  if resources and not memory.is_ended(job.mem_status) then data.yarnResource = json.null end
  answer(rq, data)
end

function ops.progress(rq, to) progress(rq, to) end

function ops.progressWithResource(rq, to) progress(rq, to, true) end

function ops.pause(rq, to)
  if to.by_id then
    reply.java("entrance", "StringIndexOutOfBoundsException", "String index out of range: 4")
  end
  local job, why, top = find(to)
  if not job and why == "unknown" then
    reply.java("entrance", "IllegalArgumentException", ("The index %s must be less than %d"):format(
      to.short:match("([^_]*)$"), top or 0))
  end
  answer(rq, { execID = to.id }, "success to pause job (成功pause了job)")
end

function ops.kill(rq, to)
  local number = rq.query.taskID
  if number and number ~= "" and not number:find "^%-?%d+$" then reply.refuse(400) end
  if not number and versions.profile().kill_needs_task then reply.refuse(500) end
  local job, why = find(to)
  local result = kill.one(rq, to, job, why, tonumber(number))
  reply.backend(rq.method_name, result.status, result.message, result.data)
end

function ops.killJobs(rq, to) kill.many(rq, to.entrance) end

-- Operations without an id --------------------------------------------------------------

local function metrics(rq, name)
  local user = rq.admin and rq.query.user or rq.user
  local function count(states)
    return db.row("SELECT count(*) AS n FROM task WHERE execute_user = ? AND mem_status IN ("
      .. states .. ")",
      user).n
  end
  local running, queued = count "'Running'", count "'Inited','Scheduled'"
  if name == "runningtask" then
    return reply.backend(rq.method_name, 0, "success",
      { runningTaskNumber = running, isCompleted = running == 0 })
  end
  local data = { taskNumber = running + queued, runningNumber = running, queuedNumber = queued }
  if rq.query.creator and rq.query.ecType then
    data.creatorECTypeMaxRunningJobs, data.limitExceeded = settings.max_running,
      running >= settings.max_running
  end
  reply.backend(rq.method_name, 0, "success", data)
end

local verbs = { killJobs = "POST" }

-- True when the verb is right; otherwise Boot's 405 or its answer to OPTIONS has gone out.
local function verb(rq, wanted)
  if rq.method == wanted or (rq.method == "HEAD" and wanted == "GET") then return true end
  reply.boot(405, wanted)
  return false
end

local function take(rq, name)
  if name == "submit" and not versions.profile().submit then return reply.boot(404) end
  if not verb(rq, "POST") then return end
  local label = rq.body:match '"route"%s*:%s*"([^"]+)"'
  if label then return faults.no_route(rq, label) end
  rq.entrance = memory.route()
  if not rq.entrance then return faults.no_service(rq) end
  faults.block_submit()
  submit.handle(rq, name)
end

local function available(name)
  local profile = versions.profile()
  if name == "progressWithResource" then return profile.progress_with_resource end
  if name == "killJobs" then return profile.kill_jobs == "id" end
  return ops[name] ~= nil
end

---Answers what stands behind /entrance/.
---@param rq table request
---@param rest string raw path behind /entrance/
function M.handle(rq, rest)
  rq.method_name = "/api/entrance/" .. ngx.unescape_uri(rest)
  if rest == "submit" or rest == "execute" then return take(rq, rest) end
  if rest == "killJobs" and versions.profile().kill_jobs == "plain" then
    if verb(rq, "POST") then kill.many(rq, memory.route()) end
    return
  end
  local metric = rest:match("^operation/metrics/(%a+)$")
  if metric == "taskinfo" or metric == "runningtask" then
    if verb(rq, "GET") then metrics(rq, metric) end
    return
  end
  local id, name = rest:match("^([^/]+)/(%a+)$")
  if not id or not available(name) then return reply.boot(404) end
  local to = target(rq, id)
  if to and verb(rq, verbs[name] or "GET") then ops[name](rq, to) end
end

return M
