-- What the sandbox's entrance and engine say: log entries and error texts, as a
-- Linkis 1.8.0 words them (protocols 3.4, 4.3). Pure text for every Lua; the
-- face (LuaJIT) and the engine (Lua 5.4) both take their words from here.

local M = {}

---The stamp of a log entry. Its "milliseconds" are the minutes, as on a real server.
---@param seconds number Unix time
---@return string
function M.stamp(seconds)
  return os.date("!%Y-%m-%d %H:%M:%S.0%M", math.floor(seconds))
end

---One log entry with its level.
---@param seconds number Unix time
---@param level string INFO, WARN or ERROR
---@param text string
---@return string
function M.entry(seconds, level, text)
  return M.stamp(seconds) .. " " .. level .. " " .. text
end

local BORDER = ("*"):rep(36) .. "SCRIPT CODE" .. ("*"):rep(36)

local function info(seconds, text) return M.entry(seconds, "INFO", text) end

---The entries the entrance writes while it takes a job.
---@param task table id, short_id, code, entrance
---@param seconds number
---@param warning string? a WARN entry of an interceptor
---@return string[]
function M.submitted(task, seconds, warning)
  local list = {
    info(seconds, "Program is substituting variables for you"),
    info(seconds, "Variables substitution ended successfully"),
  }
  if warning then list[#list + 1] = M.entry(seconds, "WARN", warning) end
  for _, line in ipairs {
    info(seconds, "You have submitted a new job, script code (after variable substitution) is"),
    BORDER, task.code, BORDER,
    info(seconds, ("Job with jobId : %d and execID : %s submitted "):format(task.id,
      task.short_id)),
    info(seconds, ("Your job is accepted,  jobID is %s and jobReqId is %d in ServiceInstance("
      .. "linkis-cg-entrance, %s, 0). \n Please wait it to be scheduled(您的任务已经提交，进入排队中，"
      .. "如果一直没有更新日志，是任务并发达到了限制，可以进行参数修改)"):format(
      task.short_id, task.id, task.entrance)),
  } do list[#list + 1] = line end
  return list
end

M.warn_unlimited = "The code you submit will not be limited by the limit"
M.warn_limited = "You submitted a sql without limit, DSS will add limit 5000 to your sql"

---The entry that says a job has left the queue.
function M.scheduled(seconds)
  return { info(seconds, "Your job is Scheduled. Please wait it to run.(您的任务已经调度运行中)") }
end

---The entries between Running and the first line of output.
---@param task table id, short_id, code
---@param seconds number
---@param instance string the engine's host:port
---@param first string? what stands after "instance_0 >> "; nil: no such entry
---@return string[]
function M.running(task, seconds, instance, first)
  local index = task.short_id:match("(%d+)$") or "0"
  local engine = ("ServiceInstance(linkis-cg-engineconn, %s, 0)"):format(instance)
  local list = {
    info(seconds, "Your job is being scheduled by orchestrator."),
    info(seconds, "Your job is Running now. Please wait it to complete.(您的任务已经在运行中)"),
    info(seconds, ("JobRequest (%d) was submitted to Orchestrator.(您的任务已经提交给Orchestrator进行编排执行)")
      :format(task.id)),
    info(seconds, ("Background is starting a new engine for you(您的任务正在请求引擎中，请耐心等待), execId "
      .. "TaskID_%d_otJobId_astJob_%s_codeExec_%s mark id is mark_%s"):format(task.id, index,
        index, index)),
    info(seconds, ("Request LinkisManager:EngineAskAsyncResponse(127.0.0.1:9101_%s,"
      .. "ServiceInstance(linkis-cg-linkismanager, 127.0.0.1:9101, 0))"):format(index)),
    info(seconds, "Succeed to reuse ec : " .. engine),
    info(seconds, ("Task submit to ec(任务已经提交给引擎执行): %s get engineConnExecId is: %d"):format(engine,
      task.id)),
    info(seconds, "EngineConn local log path: " .. engine .. " /logs"),
  }
  if first then list[#list + 1] = instance .. "_0 >> " .. first end
  return list
end

local function clock(seconds) return os.date("!%Y-%m-%d %H:%M:%S", math.floor(seconds)) end

local function times(created, ended, task, spent)
  return {
    info(ended, "Task time point information(任务时间节点信息):\n"
      .. "[Task creation time(任务创建时间)]  :" .. clock(created) .. "\n"
      .. "[Task scheduling time(任务调度时间)]:" .. clock(created) .. "\n"
      .. "[Task start time(任务开始时间)]     :" .. clock(created) .. "\n"
      .. "[Task end time(任务结束时间)]       :" .. clock(ended)),
    info(ended, "[Task submit to Orchestrator time]:" .. clock(created) .. "\n"
      .. "[Task request EngineConn time]    :" .. clock(created) .. "\n"
      .. "[Task submit to EngineConn time]  :" .. clock(created)),
    info(ended, ("Your task jobId(您的任务) %d The total time spent is(总耗时时间为): %d ms")
      :format(task.id, spent)),
  }
end

---The last entries of a job. `reason` is the failure's text, nil for success.
---@param task table id, short_id
---@param created number Unix time of its submission
---@param ended number Unix time of its end
---@param results integer number of result files; the entry says one more, as real servers do
---@param reason string?
---@return string[]
function M.ended(task, created, ended, results, reason)
  local list
  if reason then
    list = { M.entry(ended, "ERROR", ("jobRequest(%s)  execute failed,%s ")
      :format(task.short_id, M.failure(reason))) }
  else
    list = { info(ended, ("Congratulations! Your job : %s executed with status succeed and %d"
      .. " results.")
      :format(task.short_id, results + 1)) }
  end
  for _, line in ipairs(times(created, ended, task, math.floor((ended - created) * 1000))) do
    list[#list + 1] = line
  end
  list[#list + 1] = info(ended, reason
    and "Sorry. Your job completed with a status Failed. You can view logs for the reason."
    or "Congratulations. Your job completed with status Success.")
  return list
end

---The ERROR entries of a kill by a user; `M.ended` with reason "Job be cancelled" follows them.
function M.kill_entries(seconds)
  local coded = M.entry(seconds, "ERROR",
    "error code: 31001, errorMsg: 用户主动kill任务, errorLine: is killed by user ")
  return {
    coded,
    M.entry(seconds, "ERROR", "Sorry, your job executed failed with reason: Job is killed by"
      .. " user!"),
    coded,
    M.entry(seconds, "ERROR", "Job is killed by user!"),
  }
end

---errDesc of a failure that the catalogue does not know (errCode stays NULL).
---@param reason string the engine's words
---@return string
function M.failure(reason) return "21304, Task is Failed,errorMsg: " .. reason end

---Cuts an errDesc as job history stores it.
---@param text string
---@return string
function M.cut(text)
  local count = 0
  for at in text:gmatch("()[^\128-\191]") do
    count = count + 1
    if count > 512 then return text:sub(1, at - 1) end
  end
  return text
end

-- Catalogue codes with their texts (errCode, errDesc).
M.killed = { code = 31001, desc = "用户主动kill任务" }
M.no_engine = { code = 31002, desc = "您提交的EngineTypeLabel没有对应的引擎版本" }
M.no_engine_reason = "errCode: 12003 ,desc: 127.0.0.1:9101 Failed  to async get EngineNode "
  .. "EngineConnPluginNotFoundException: errCode: 70063 ,desc: No plugin found %s, please check"
    .. " your "
  .. "configuration ,ip: 127.0.0.1 ,port: 9101 ,serviceKind: linkis-cg-linkismanager"
M.heartbeat_lost = { desc = "Job is killed because of client-server connection lost" }
M.restarted = { desc = "Your job will be marked as canceled because the Entrance service restarted"
  .. "(因为Entrance服务重启，您的任务将被标记为取消)" }

return M
