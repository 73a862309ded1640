-- /jobhistory/*: the persisted truth about tasks (protocols 3.11).

local each = require "taskclient.compat".each
local db = require "taskclient.sandbox.face.db"
local execid = require "taskclient.sandbox.execid"
local json = require "taskclient.sandbox.face.json"
local memory = require "taskclient.sandbox.face.memory"
local reply = require "taskclient.sandbox.face.reply"
local settings = require "taskclient.sandbox.face.settings"
local versions = require "taskclient.sandbox.face.versions"

local M = {}

local NOT_FOUND = "The corresponding job was not found, or there may be no permission to view"
  .. " the job"
  .. "(没有找到对应的job，也可能是没有查看该job的权限)"
local DAY = 86400000

-- Task objects ------------------------------------------------------------------------

local function tailor(text)
  local source, list = json.decode(text), {}
  if type(source) ~= "table" then return json.null end
  for key, value in each(source) do
    if key ~= "requestIP" then list[#list + 1] = tostring(value) end
  end
  list[#list + 1] = source.requestIP
  return table.concat(list, "-")
end

local function stronger(task)
  if versions.profile().legacy_exec_id then
    return task.short_id and memory.exec_id(task) or json.null
  end
  local instance = settings.failover and not memory.is_ended(task.status) and "" or task.entrance
  return execid.make(instance, task.exec_id or "null")
end

local function progress(task)
  if not task.progress then return json.null end
  if versions.profile().number_progress then
    return json.double(tonumber((task.progress:gsub("f$", ""))))
  end
  return task.progress
end

-- In ms while it lives; what the end left, else.
local function cost(task)
  if memory.is_ended(task.status) then return task.cost_ms or json.null end
  return math.floor(ngx.now() * 1000 - task.submitted_ms)
end

local function shifted(ms)
  if not ms then return json.null end
  return settings.wrong_dates and ms - DAY or ms
end

local function spent(task)
  if not task.request_end_ms or not task.request_start_ms then return json.null end
  return task.request_end_ms - task.request_start_ms
end

local function null(value) return value == nil and json.null or value end

local brief_fields = { status = true, progress = true, taskID = true, execId = true, logPath = true,
  resultLocation = true, umUser = true, executeUser = true, errDesc = true, errCode = true }

local function labels(task)
  if not versions.profile().labels then return nil end
  local list = json.decode(task.labels)
  return json.array(type(list) == "table" and list or {})
end

-- executionCode is null in /get since 1.7, present in the lists.
local function view(task, with_code)
  local failover = settings.failover and not memory.is_ended(task.status)
  return {
    taskID = task.id, instance = failover and "" or task.entrance, execId = null(task.exec_id),
    strongerExecId = stronger(task), umUser = task.submit_user, executeUser = task.execute_user,
    status = task.status, progress = progress(task), createdTime = shifted(task.created_ms),
    updatedTime = shifted(task.updated_ms), requestStartTime = shifted(task.request_start_ms),
    requestEndTime = shifted(task.request_end_ms), requestSpendTime = spent(task),
      costTime = cost(task),
    engineStartTime = json.null, errCode = null(task.err_code), errDesc = null(task.err_desc),
    logPath = task.exec_id and null(task.log_path) or json.null,
    resultLocation = null(task.result_location), engineType = task.engine,
    executeApplicationName = task.engine, requestApplicationName = task.creator,
      runType = task.run_type,
    engineInstance = null(task.engine_instance), paramsJson = task.params, sourceJson = task.source,
    executionCode = (with_code or versions.profile().code_in_get) and task.code or json.null,
    sourceTailor = tailor(task.source), labels = labels(task), canRetry = task.can_retry == 1,
    observeInfo = json.null, isReuse = json.null, metrics = null(task.metrics), subJobs = json.null,
  }
end

local function ok(rq, data) reply.backend(rq.method_name, 0, "OK", data) end

local function integer(rq, name)
  local text = rq.query[name]
  if text == nil or text == "" then return nil end
  if not text:find "^%-?%d+$" or #text > 18 then reply.refuse(400) end
  return tonumber(text)
end

-- Lists ---------------------------------------------------------------------------------

-- Words of a filter: only what the server's pattern lets through.
local function word(rq, name)
  local text = rq.query[name]
  if text == nil or text == "" then return nil end
  if not text:find "^[%w_%-%.:,]+$" then
    reply.message(rq.method_name, ("errCode: 21304 ,desc: Invalid %s : %s ,ip: 127.0.0.1 ,port:"
      .. " 9105 ,"
      .. "serviceKind: linkis-ps-publicservice"):format(name, text))
  end
  return text
end

local function add(filter, condition, value)
  if value == nil then return end
  filter.where[#filter.where + 1] = condition
  filter.values[#filter.values + 1] = value
end

local function add_states(filter, states)
  if not states then return end
  local marks = {}
  for state in states:gmatch "[^,]+" do
    marks[#marks + 1] = "?"
    filter.values[#filter.values + 1] = state
  end
  filter.where[#filter.where + 1] = "status IN (" .. table.concat(marks, ",") .. ")"
end

-- Own submissions, unless an administrator asks for the administrator's view.
local function add_owner(filter, rq)
  local wide = rq.admin and (rq.query.isAdminView == "true" or rq.query.isDeptView == "true")
  if not wide then return add(filter, "submit_user = ?", rq.login_user) end
  add(filter, "submit_user = ?", word(rq, "proxyUser"))
end

local function filter_of(rq)
  local filter = { where = { "1" }, values = {} }
  add_owner(filter, rq)
  add(filter, "id = ?", integer(rq, "taskID"))
  add(filter, "created_ms >= ?", integer(rq, "startDate"))
  add(filter, "created_ms <= ?", integer(rq, "endDate"))
  add(filter, "engine = ?", word(rq, "executeApplicationName"))
  add(filter, "creator = ?", word(rq, "creator"))
  add(filter, "entrance = ?", word(rq, "instance"))
  add(filter, "engine_instance = ?", word(rq, "engineInstance"))
  if versions.profile().brief then add(filter, "run_type = ?", word(rq, "runType")) end
  return filter
end

local function count(filter)
  local where = table.concat(filter.where, " AND ")
  return db.row("SELECT count(*) AS n FROM task WHERE " .. where, unpack(filter.values)).n
end

-- A page beyond the end is the last one, one before the first is the first ("reasonable"); size 0
-- is everything. Within one second the order differs from page to page.
local function page(filter, now, size, total)
  if size < 0 then return {} end
  local limit, offset = -1, 0
  if size > 0 then
    now = math.max(1, math.min(now, math.ceil(total / size)))
    limit, offset = size, (now - 1) * size
  end
  return db.rows("SELECT * FROM task WHERE " .. table.concat(filter.where, " AND ")
    .. (" ORDER BY created_ms DESC, (id * %d) %% 1009 LIMIT %d OFFSET %d"):format(
      7919 + now, limit, offset), unpack(filter.values))
end

local function views(rows)
  local list = json.array()
  for i, row in ipairs(rows) do list[i] = view(row, true) end
  return list
end

local function list(rq, filter)
  local now, size = integer(rq, "pageNow") or 1, integer(rq, "pageSize") or 20
  local total = count(filter)
  ok(rq, { tasks = views(page(filter, now, size, total)), totalPage = total })
end

local ops = {}

function ops.list(rq)
  local filter = filter_of(rq)
  add_states(filter, word(rq, "status"))
  list(rq, filter)
end

local function undone(rq)
  local filter = filter_of(rq)
  add_states(filter, word(rq, "status") or "Running,Inited,Scheduled")
  add(filter, "id = ?", integer(rq, "startTaskID"))
  add(filter, "engine = ?", word(rq, "engineType"))
  if not rq.query.startDate then
    add(filter, "created_ms >= ?", math.floor(ngx.now() * 1000) - DAY)
  end
  return filter
end

function ops.listundonetasks(rq) list(rq, undone(rq)) end

function ops.listundone(rq) ok(rq, { totalPage = count(undone(rq)) }) end

ops["list-taskids"] = function(rq)
  local text = rq.query.taskID or ""
  if text == "" then reply.message(rq.method_name, "Invalid taskID cannot be empty") end
  if not text:find "^[%d,]+$" then
    reply.message(rq.method_name, "TaskID contains illegal characters")
  end
  local ids = {}
  for id in text:gmatch "%d+" do ids[#ids + 1] = id end
  if #ids > 30 then reply.message(rq.method_name, "TaskID size cannot exceed 30") end
  local filter = { where = { "id IN (" .. table.concat(ids, ",") .. ")" }, values = {} }
  if not rq.admin then add(filter, "submit_user = ?", rq.login_user) end
  ok(rq, { jobHistoryList = views(page(filter, 1, 0)) })
end

local function own(rq, id)
  local task = id and memory.task(id)
  if not task or not (rq.admin or task.submit_user == rq.login_user) then
    reply.message(rq.method_name, NOT_FOUND)
  end
  return task
end

local function get(rq, id)
  if not id:find "^%-?%d+$" or #id > 18 then reply.refuse(400) end
  local data = view(own(rq, tonumber(id)))
  if versions.profile().brief and rq.query.brief == "true" then
    for name in each(data) do
      if not brief_fields[name] then data[name] = json.null end
    end
  end
  ok(rq, { task = data })
end

ops["job-extra-info"] = function(rq)
  local task = own(rq, integer(rq, "jobId"))
  ok(rq, { metricsMap = json.raw(task.metrics or "{}") })
end

function ops.governanceStationAdmin(rq)
  ok(rq, { admin = rq.admin, historyAdmin = rq.admin, deptAdmin = rq.admin,
    errorMsgTip = "The request interface %s is abnormal. You can try to troubleshoot common"
      .. " problems in the "
      .. "knowledge base document" })
end

ops["jobstatistics/taskCount"] = function(rq)
  local function n(status)
    local filter = { where = { "submit_user = ?" }, values = { rq.login_user } }
    add(filter, "status = ?", status)
    return count(filter)
  end
  ok(rq, { sumCount = n(), succeedCount = n "Succeed", failedCount = n "Failed",
    cancelledCount = n "Cancelled" })
end

ops["jobstatistics/engineCount"] = ops["jobstatistics/taskCount"]

-- Its failures end in an empty 200, which is all that was ever seen without dates.
ops["download-job-list"] = function(rq)
  if not rq.query.isAdminView then return reply.nothing(200) end
  local xlsx = require "taskclient.sandbox.face.xlsx"
  local rows = {}
  local filter = filter_of(rq)
  for i, task in ipairs(page(filter, 1, 0)) do
    rows[i] = { tostring(task.id), task.status, task.creator, task.engine, task.run_type,
      task.code }
  end
  reply.stream(xlsx.mime, "attachment;filename=jobhistory.xlsx")
  reply.send(200, xlsx.book { { name = "jobs",
    columns = { "taskID", "status", "creator", "engine", "runType", "code" }, rows = rows } })
end

local function available(name)
  local profile = versions.profile()
  if name:find "^listundone" then return profile.listundone end
  if name == "list-taskids" or name == "job-extra-info" or name == "download-job-list" then
    return profile.list_taskids
  end
  return ops[name] ~= nil
end

---Answers what stands behind /jobhistory/.
---@param rq table request
---@param rest string raw path behind /jobhistory/
function M.handle(rq, rest)
  rq.method_name = "/api/jobhistory/" .. ngx.unescape_uri(rest)
  local id = rest:match "^([^/]+)/get$"
  if not id and not available(rest) then return reply.boot(404) end
  if rq.method == "OPTIONS" then return reply.options() end
  if rq.method ~= "GET" and rq.method ~= "HEAD" then return reply.boot(405, "GET") end
  if id then return get(rq, id) end
  ops[rest](rq)
end

return M
