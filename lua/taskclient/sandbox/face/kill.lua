-- Ending jobs: by execID in an entrance's memory, or only in job history (protocols 3.7, 3.8).
-- The task id beside an execID is never compared with the job found.

local cjson = require "cjson.safe"
local db = require "taskclient.sandbox.face.db"
local execid = require "taskclient.sandbox.execid"
local faults = require "taskclient.sandbox.face.faults"
local json = require "taskclient.sandbox.face.json"
local memory = require "taskclient.sandbox.face.memory"
local reply = require "taskclient.sandbox.face.reply"
local settings = require "taskclient.sandbox.face.settings"
local versions = require "taskclient.sandbox.face.versions"

local M = {}

local KILLED = "Successfully killed the job(成功kill了job)"
local FORCED = "Forced Kill task (强制杀死任务)"
local NO_JOB = "Get job by ID error, kill failed.(获取job时发生异常，kill失败)"
local COMPLETED = "The job already completed. Do not support kill.(任务已经结束，不支持kill)"
local BROKEN = "An exception occurred while killing the job, kill failed(kill job的时候出现了异常，kill失败)"

-- Only the row changes, of anybody's task. An ended one keeps its state, but every row loses what
-- the empty update overwrites: source (and with it the client's key), metrics, times.
local function force(id)
  faults.block_on_history()
  db.run([[UPDATE task SET updated_ms = ?1, engine_instance = NULL, source = 'null', metrics = '{}',
    cost_ms = NULL, request_start_ms = NULL, request_end_ms = NULL,
    progress = CASE WHEN status IN ('Succeed','Failed','Cancelled','Timeout') THEN progress ELSE
      '1.0' END,
    err_code = CASE WHEN status IN ('Succeed','Failed','Cancelled','Timeout') THEN err_code END,
    status = CASE WHEN status IN ('Succeed','Failed','Cancelled','Timeout') THEN status ELSE
      'Cancelled' END
    WHERE id = ?2]], math.floor(ngx.now() * 1000), id)
end

local finished = { Succeed = true, Failed = true }

-- Job history refuses to change an ended row.
local function too_late(job)
  local text = ("errCode: 20011 ,desc: Request jobHistory failed,because:QueryException:"
    .. " errCode: 120001 ,"
    .. "desc: jobId:%d，oldStatus(在数据库中的task状态为)：%s, newStatus(更新的task状态为)：Cancelled，update "
    .. "failed(更新失败)！ ,ip: 127.0.0.1 ,port: 9105 ,serviceKind: linkis-ps-publicservice "
    .. "(请求jobHistory失败) ,ip: 127.0.0.1 ,port: 9104 ,serviceKind: linkis-cg-entrance"):format(
    job.id, job.status)
  return { status = 1, message = BROKEN .. " with error:" .. text,
    data = { stack = "LinkisException: " .. text .. "\n\tat org.apache.linkis.entrance.restful."
      .. "EntranceRestfulApi.kill(EntranceRestfulApi.java:800)" } }
end

-- A kill that is believed too early: history shows the end, while memory and the process go on
-- until the next one (protocols 3.7).
local function believed_early(job)
  if not settings.take "kill_early" then return false end
  db.run([[UPDATE task SET status = 'Cancelled', err_code = 31001, progress = '1.0',
    updated_ms = ? WHERE id = ? AND status NOT IN ('Succeed','Failed','Cancelled','Timeout')]],
    math.floor(ngx.now() * 1000), job.id)
  return true
end

-- The engine ends the process; the answer waits for it, as a real one does.
local function stop(job)
  db.run("INSERT INTO command(kind, task) VALUES('kill', ?)", job.id)
  memory.poke()
  for _ = 1, 500 do
    local now = db.row("SELECT mem_status FROM task WHERE id = ?", job.id)
    if memory.is_ended(now.mem_status) then return end
    ngx.sleep(0.01)
  end
end

local function owner_only(rq, job)
  if not versions.profile().kill_owner_check or rq.admin then return nil end
  if rq.user == job.execute_user or rq.user == job.submit_user then return nil end
  return { status = 1, data = {}, denied = true,
    message = "You have no permission to kill this job, excecute by user:" .. job.execute_user }
end

---Kills one job.
---@param rq table request
---@param to table target: id, entrance
---@param job table? the job found in memory
---@param why string? "unknown", "empty", "ended" or "failover" when none was found
---@param task_id number? as sent
---@return table result status, message, data
function M.one(rq, to, job, why, task_id)
  if job then
    local denied = owner_only(rq, job)
    if denied then return denied end
    if finished[job.mem_status] or finished[job.status] then return too_late(job) end
    if job.mem_status ~= "Cancelled" and not believed_early(job) then stop(job) end
    return { status = 0, message = KILLED, data = { execID = to.id } }
  elseif why == "ended" then
    return { status = 1, message = COMPLETED, data = {} }
  elseif why == "failover" then
    force(tonumber(to.id))
    return { status = 0, message = FORCED, data = { execID = "", taskID = to.id } }
  elseif task_id and task_id > 0 then
    force(task_id)
    return { status = 0, message = FORCED, data = {} }
  elseif why == "empty" then
    reply.java("entrance", "NullPointerException", "null")
  end
  return { status = 1, message = NO_JOB, data = {} }
end

local function lists(rq)
  local body = cjson.decode(rq.body)
  if type(body) ~= "table" then reply.refuse(400) end
  local ids, tasks = body.idList, body.taskIDList
  if ids == nil or tasks == nil then reply.java("entrance", "NullPointerException", "null") end
  if type(ids) ~= "table" or type(tasks) ~= "table" then
    reply.message(rq.method_name, "request error: idList and taskIDList must be arrays(请求错误)")
  elseif #ids ~= #tasks then
    reply.message(rq.method_name, "The length of the ID list does not match the length of the"
      .. " TASKID list"
      .. "(id列表的长度与taskId列表的长度不一致)")
  end
  return ids, tasks
end

---Kills a list of jobs. All are looked up in the addressed entrance by short id alone: a job of
---another
---entrance is not found there, or is a namesake.
---@param rq table request
---@param entrance string
function M.many(rq, entrance)
  if not (rq.headers["Content-Type"] or ""):find("application/json", 1, true) then
    reply.refuse(415)
  end
  local ids, tasks = lists(rq)
  local messages, forced = json.array(), {}
  for i, id in ipairs(ids) do
    local parts = execid.parse(tostring(id)) or execid.parse_legacy(tostring(id))
    if not parts then
      reply.java("entrance", "StringIndexOutOfBoundsException", "String index out of range: "
        .. #tostring(id))
    end
    local outcome, job = memory.find(entrance, parts.short)
    local result
    if outcome == "found" then
      result = M.one(rq, { id = id }, job)
      if result.denied then return reply.backend(rq.method_name, 1, result.message, {}) end
      if result.status == 1 then result.message = BROKEN end
      result.method = "/api/entrance/" .. id .. "/kill"
    else
      forced[#forced + 1] = tonumber(tasks[i])
      result = { status = 0, message = FORCED, data = {},
        method = "/api/entrance/" .. id .. (settings.version == "1.1" and "/kill" or "/killJobs") }
    end
    messages[#messages + 1] = { method = result.method, status = result.status,
      message = result.message,
      data = result.data }
  end
  for _, id in ipairs(forced) do force(id) end
  reply.backend(rq.method_name, 0, "success", { messages = messages })
end

return M
