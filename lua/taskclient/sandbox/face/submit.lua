-- Taking a task: the parser, the interceptors and the queue of an entrance (protocols 3.1, 3.2).
-- Writes task, slot, log and file rows; the engine does the rest.

local each = require "taskclient.compat".each
local db = require "taskclient.sandbox.face.db"
local json = require "taskclient.sandbox.face.json"
local memory = require "taskclient.sandbox.face.memory"
local reply = require "taskclient.sandbox.face.reply"
local settings = require "taskclient.sandbox.face.settings"
local versions = require "taskclient.sandbox.face.versions"
local words = require "taskclient.sandbox.words"

local M = {}

local EMPTY_CODE = "The param executionCode cannot be empty (参数 executionCode 不能为空)"

local function fail(code, desc) reply.fail("entrance", code, desc) end

local java_names = { string = "java.lang.String", number = "java.lang.Integer",
  boolean = "java.lang.Boolean" }

local function bad_cast(value, wanted)
  local name = java_names[type(value)] or "java.util.ArrayList"
  reply.java("entrance", "ClassCastException", name .. " cannot be cast to " .. wanted)
end

-- A JSON object or nil; anything else raises what Java would.
local function object(value, wanted)
  if value == nil or value == json.null then return nil end
  if type(value) ~= "table" or json.is_array(value) then
    bad_cast(value, wanted or "java.util.Map")
  end
  return value
end

local function given(value)
  if value ~= nil and value ~= json.null then return value end
end

-- Parsing ------------------------------------------------------------------------

local function content_of(body)
  local content = body.executionContent
  if content == json.null then reply.java("entrance", "NullPointerException", "") end
  return object(content)
end

local function parse_new(rq, body)
  local content = content_of(body)
  local labels = object(body.labels)
  if not labels or next(labels) == nil then
    fail(20008, "params cannot be empty ,  labels is null")
  end
  local code = given(content.code)
  if code == nil then fail(20010, EMPTY_CODE) end
  if type(code) ~= "string" then bad_cast(code, "java.lang.String") end
  if not code:find "%S" then fail(20007, EMPTY_CODE) end
  local run_type = given(content.runType) or given(labels.codeType)
  if not given(labels.engineType) then
    fail(20009, "Label params invalid You need to specify engineTypeLabel in labels,such as"
      .. " spark-3.2.1")
  elseif not run_type then
    fail(20009, "Label params invalid You need to specify runType in execution content, such as"
      .. " sql")
  end
  local execute_user = rq.user
  if versions.profile().execute_user and rq.admin_token and given(body.executeUser)
    and rq.is_submit then
    execute_user = body.executeUser
  end
  return { code = code, run_type = run_type, engine_label = tostring(labels.engineType),
    labels = labels,
    user_creator = given(labels.userCreator), execute_user = execute_user }
end

local function parse_old(rq, body)
  local code, source = given(body.executionCode), object(body.source, "java.util.HashMap") or {}
  local creator, labels = given(body.requestApplicationName) or "IDE", object(body.labels) or {}
  if next(body) == nil or (creator == "IDE" and not code and not given(source.scriptPath)) then
    fail(20007, "The param executionCode and scriptPath cannot be empty at the same time"
      .. "(参数 executionCode 和 scriptPath 不能同时为空)")
  end
  local engine = given(body.executeApplicationName)
  if not engine and not versions.profile().submit then
    fail(20006, "The param executeApplicationName cannot be empty (参数 executeApplicationName 不能为空)")
  end
  return { code = code or "", run_type = given(body.runType) or "sql", labels = labels,
    engine_label = engine and (given(labels.engineType) or engine .. "-1"),
    user_creator = given(labels.userCreator) or rq.user .. "-" .. creator, execute_user = rq.user }
end

-- A value that is no text: job history refuses the row, three tries long.
local function hang_on_odd_source(source)
  for _, value in each(source) do
    if type(value) ~= "string" then
      ngx.sleep(settings.source_hang)
      fail(20011, "Request jobHistory failed, because:jobRespProtocol is null "
        .. "(请求jobHistory失败,因为jobRespProtocol为null)")
    end
  end
end

-- ${name} of params.variable; what is not defined stays as it is.
local function substitute(code, variables)
  return (code:gsub("%${([%w_%.]+)}", function(name)
    local value = variables[name]
    if value ~= nil and type(value) ~= "table" and value ~= json.null then
      return tostring(value)
    end
  end))
end

-- Interceptors: each refuses after the row is stored ---------------------------------

local blacklist = {}
for word in ("rm sh find kill python for source hdfs hadoop hive yarn"):gmatch("%S+") do
  blacklist[word] = true
end

local function refused_shell(code)
  for word in code:gmatch("[^%s;|&()]+") do
    if blacklist[word] or word:find("^spark%-") then return true end
  end
  return (code .. "\n"):find("%.sh%s*\n") ~= nil
end

local function refusal(spec, task)
  if not spec.engine_label then return 50079, "engineTypeLabel must be need" end
  local user, creator = (spec.user_creator or ""):match("^([^-]+)%-([^-]+)$")
  if not user then return 50079, "UserCreatorLabel must be need" end
  if user:lower() ~= task.execute_user:lower() then
    return 50080, ("SubmitUser : %s must be the same as ExecuteUser : %s , and user : %s in "
      .. "userCreatorLabel."):format(task.submit_user, task.execute_user, user)
  end
  task.creator, task.queue_user = creator, user
  if task.engine == "shell" and refused_shell(task.code) then
    return 50081, "Shell code contains blacklisted code(shell中包含黑名单代码)"
  end
end

-- SELECT of the creator IDE gets a limit; its test is a substring match (protocols 3.1).
local function limit_sql(task)
  local sql = task.run_type:find("sql", 1, true) or task.run_type == "hql"
    or task.run_type == "jdbc"
  if not sql then return nil end
  if not ("IDE"):find(task.creator, 1, true) then return words.warn_unlimited end
  if task.run_type == "jdbc" or task.code:find("linkis.engine.no.limit.allow=true", 1, true) then
    return nil
  end
  local code, changed = task.code:gsub("%s*;?%s*$", ""), false
  if code:lower():find("^%s*select") then
    local limit = tonumber(code:lower():match("%slimit%s+(%d+)$"))
    changed = not limit or limit > 5000
    if limit and changed then code = code:gsub("%d+$", "5000") end
    if not limit then code = code .. " limit 5000" end
  end
  if changed then task.code = code end
  return changed and words.warn_limited or nil
end

-- Storing ---------------------------------------------------------------------------

local function day() return os.date("!%Y-%m-%d", ngx.time()) end

---Registers a directory and all above it.
---@param path string logical path without a slash at its end
---@param owner string
function M.make_dirs(path, owner)
  local scheme, rest = path:match("^(%w+://)(/.*)$")
  while rest and rest ~= "" do
    local parent = rest:match("^(.*)/[^/]+$")
    local n = db.run("INSERT OR IGNORE INTO file(path, parent, kind, mtime_ms, owner)"
      .. " VALUES(?,?,'dir',?,?)",
      scheme .. rest, scheme .. parent, math.floor(ngx.now() * 1000), owner)
    if n == 0 then return end
    rest = parent
  end
end

-- Further labels that the server knows (protocols 3.1); others are ignored. The engine obeys
-- some.
local OTHER_LABELS = { "executeOnce", "jobQueuingTimeout", "jobRunningTimeout", "route", "tenant" }

local function label_list(spec, task)
  local list = json.array { "userCreator:" .. task.execute_user .. "-" .. task.creator,
    "codeType:" .. task.run_type, "engineType:" .. (spec.engine_label:find("-", 1, true)
    and spec.engine_label or spec.engine_label .. "-" .. spec.engine_label) }
  for _, name in ipairs(OTHER_LABELS) do
    local value = given(spec.labels[name])
    if value then list[#list + 1] = name .. ":" .. tostring(value) end
  end
  return json.encode(list)
end

-- paramsJson as a stored row shows it: what was sent plus what the entrance adds.
local function stored_params(params, task)
  local configuration = object(params.configuration) or {}
  local startup, runtime = object(configuration.startup) or {}, object(configuration.runtime) or {}
  local moved = given(runtime["wds.linkis.resultSet.store.path"])
  local id = tostring(task.id)
  task.result_path = moved or ("file://%s//result/%s/%s/%s/%d"):format(
    settings.root, day(), task.creator, task.execute_user, task.id)
  startup.jobId, runtime.jobId = id, id
  runtime.job = { ["#rt_rs_store_path"] = task.result_path }
  if task.source_given then runtime.source = task.source_map end
  configuration.startup, configuration.runtime = startup, runtime
  params.configuration = configuration
  return json.encode(params)
end

local function insert(task, params)
  local now = math.floor(ngx.now() * 1000)
  local second = now - now % 1000
  local _, id = db.run([[INSERT INTO task(entrance, submit_user, execute_user, creator, engine,
    engine_label,
    run_type, queue, code, params, source, labels, mem_status, status, created_ms, updated_ms,
    request_start_ms, submitted_ms) VALUES(?,?,?,?,?,?,?,'',?,?,?,'[]','Inited','Inited',?,?,?,?)]],
    task.entrance, task.submit_user, task.execute_user, task.creator, task.engine,
      task.engine_label,
    task.run_type, task.code, json.encode(params), json.encode(task.source_map), second, now,
      second, now)
  task.id = id
end

local function store_refused(spec, task, code, desc)
  db.run([[UPDATE task SET mem_status='Failed', status='Failed', progress='1.0', mem_progress=1,
    err_code=?,
    err_desc=?, engine_instance='NULL', labels=?, cost_ms=? - submitted_ms, ended_ms=?, metrics=?
      WHERE id=?]],
    code, desc, spec.engine_label and label_list(spec, task) or "[]", ngx.now() * 1000,
      ngx.now() * 1000,
    '{"engineInstance":"NULL","yarnResource":{}}', task.id)
end

local function waiting(task)
  return db.row("SELECT count(*) AS n FROM task WHERE queue = ? AND mem_status = 'Inited'",
    task.queue).n
end

local function queue_up(spec, task, params)
  task.queue = table.concat({ task.creator, task.queue_user, task.engine }, "_")
  if settings.queue_full or waiting(task) > settings.max_waiting then
    return 12001, "The submitted job failed, the queue is full(提交的任务失败，队列已满)"
  end
  local warning = limit_sql(task)
  local index = memory.take_slot(task.entrance, task.queue, task.id)
  task.short_id = task.queue .. "_" .. index
  local folder = ("file://%s/%s/log/%s/%s"):format(settings.root, task.execute_user, task.creator,
    day())
  local log_path = ("%s/%d.log"):format(folder, task.id)
  db.run([[UPDATE task SET queue=?, short_id=?, creator=?, code=?, params=?, result_path=?,
    log_path=?, labels=?
    WHERE id=?]], task.queue, task.short_id, task.creator, task.code, stored_params(params, task),
    task.result_path, log_path, label_list(spec, task), task.id)
  for n, line in ipairs(words.submitted(task, ngx.now(), warning)) do
    db.run("INSERT INTO log(task, n, line) VALUES(?, ?, ?)", task.id, n, line)
  end
  M.make_dirs(folder, task.execute_user)
  db.run([[INSERT OR REPLACE INTO file(path, parent, kind, mtime_ms, owner, task)
    VALUES(?,?,'log',?,?,?)]],
    log_path, folder, ngx.now() * 1000, task.execute_user, task.id)
end

-- One transaction: a refused task keeps its row, as Failed.
local function store(spec, task, params)
  return db.transaction(function()
    insert(task, params)
    local code, desc = refusal(spec, task)
    if not code then code, desc = queue_up(spec, task, params) end
    if code then store_refused(spec, task, code, desc) end
    return code, desc
  end)
end

local function build(rq, spec, body)
  local params = object(body.params) or {}
  local source = object(body.source, "java.util.HashMap")
  local map = {}
  for key, value in each(source or {}) do map[key] = value end
  hang_on_odd_source(map)
  map.requestIP = rq.headers["X-Forwarded-For"] or "127.0.0.1"
  local label = spec.engine_label or ""
  spec.user_creator = spec.user_creator or spec.execute_user .. "-IDE"
  return { code = substitute(spec.code, object(params.variable) or {}), run_type = spec.run_type,
    engine = label:match("^[^-]*"), engine_label = label, submit_user = rq.user,
    execute_user = spec.execute_user, creator = spec.user_creator:match("%-(.*)$")
      or spec.user_creator,
    entrance = rq.entrance, source_map = map, source_given = source ~= nil }, params
end

---POST /entrance/submit and /entrance/execute.
---@param rq table request; rq.entrance is set
---@param name string "submit" or "execute"
function M.handle(rq, name)
  if not (rq.headers["Content-Type"] or ""):find("application/json", 1, true) then
    reply.refuse(415)
  end
  local body = json.decode(rq.body)
  if type(body) ~= "table" or rq.body:find "^%s*%[" then reply.refuse(400) end
  rq.is_submit = name == "submit"
  local spec = (body.executionContent == nil and parse_old or parse_new)(rq, body)
  local task, params = build(rq, spec, body)
  if settings.submit_delay > 0 then ngx.sleep(settings.submit_delay) end
  local code, desc = store(spec, task, params)
  if code then fail(code, desc) end
  memory.poke()
  if settings.take "submit_lost" then return ngx.exit(444) end
  reply.backend("/api/entrance/" .. name, 0, "OK", { taskID = task.id,
    execID = memory.exec_id(task) })
end

return M
