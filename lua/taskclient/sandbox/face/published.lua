-- version = "published": a server built from the published API page, word for word: its ten
-- operations and nothing else, kill by POST, ids as text, "FAILED", "10%", errorCode, paramJson,
-- dates as text, and execIDs like its sample. Translates to and from what the other modules do.

local json = require "taskclient.sandbox.face.json"
local memory = require "taskclient.sandbox.face.memory"
local reply = require "taskclient.sandbox.face.reply"

local M = {}

-- The page's sample, whose declared lengths are wrong (protocols 5); the last number is the
-- task id.
local INSTANCE = "localhost010004:10087"

local function sample_id(task)
  return ("%02d%02d18%s%s%s%s_%s_%d"):format(#task.creator, #task.engine, task.creator, task.engine,
    INSTANCE, task.creator, task.execute_user, task.id)
end

local function task_of(id) return memory.task(tonumber(id:match "_(%d+)$") or 0) end

local function clock(ms)
  return type(ms) == "number" and os.date("!%Y-%m-%d %H:%M:%S", math.floor(ms / 1000)) or json.null
end

-- Entrance --------------------------------------------------------------------------------

local messages = { status = "Get status successful", log = "Return log information" }

local function metrics(data)
  data.yarnResource = nil
  data.yarnMetrics = { memoryPercent = 0.009, memoryRGB = "green", corePercent = 0.02,
    coreRGB = "green",
    yarnResource = json.array { { queueMemory = 9663676416, queueCores = 6, queueInstances = 0,
      jobStatus = "COMPLETED", applicationId = "application_1655364300926_69504",
        queue = "default" } } }
  return data
end

local function publish_entrance(name, id, path)
  return function(_, data)
    data.execID = id
    if name == "progressWithResource" then
      return path:gsub("rest_j/v1/", ""), "OK", metrics(data)
    end
    return path, messages[name] or "OK", data
  end
end

local function publish_submit(path)
  return function(_, data)
    local task = memory.task(data.taskID)
    return path, "Request executed successfully", { execID = sample_id(task),
      taskID = tostring(task.id) }
  end
end

-- History ---------------------------------------------------------------------------------

local kept = { "taskID", "instance", "umUser", "engineInstance", "logPath", "resultLocation",
  "engineType",
  "errDesc", "executeApplicationName", "requestApplicationName", "runType", "costTime",
    "sourceJson" }

local function percent(text)
  return type(text) == "string" and ("%d%%"):format(tonumber((text:gsub("f$", ""))) * 100) or "0%"
end

local function publish_get(_, data)
  local task, out = data.task, {}
  for _, name in ipairs(kept) do out[name] = task[name] end
  local id = sample_id(memory.task(task.taskID))
  out.execId, out.strongerExecId = id, id
  out.status, out.progress = task.status:upper(), percent(task.progress)
  out.createdTime, out.updatedTime = clock(task.createdTime), clock(task.updatedTime)
  out.errorCode, out.paramJson = task.errCode, task.paramsJson
  return nil, "OK", { task = out }
end

-- Results ---------------------------------------------------------------------------------

local function publish_page(method, data)
  data.totalColumn = nil
  return method, "OK", data
end

-- The export's parameters by the page's spelling; it knows no cap.
local function translate_export(query)
  query.csvSeparator, query.csvSeperator = query.csvSeerator, nil
  if query.outputFileType == "excel" then query.outputFileType = "xlsx" end
  query.limit = query.limit or "1000000000"
end

-- Routing ---------------------------------------------------------------------------------

local reads = { status = "GET", log = "GET", progressWithResource = "GET", kill = "POST" }

local function entrance(rq, rest)
  if rest == "submit" or rest == "execute" then
    ngx.ctx.publish = publish_submit(rq.path)
    return rest
  end
  local id, name = rest:match "^([^/]+)/(%a+)$"
  if not id or not reads[name] then return nil, 404 end
  if rq.method ~= reads[name] then return nil, 405, reads[name] end
  local task = task_of(ngx.unescape_uri(id))
  rq.method = "GET"
  ngx.ctx.publish = publish_entrance(name, ngx.unescape_uri(id), ngx.unescape_uri(rq.path))
  return (task and memory.exec_id(task) or "exec_id018014linkis-cg-entrance127.0.0.1:9104null")
    .. "/" .. name
end

local function jobhistory(_, rest)
  if not rest:find "^[^/]+/get$" then return nil, 404 end
  ngx.ctx.publish = publish_get
  return rest
end

local function filesystem(rq, rest)
  if rest == "resultsetToExcel" then translate_export(rq.query)
  elseif rest == "openFile" then ngx.ctx.publish = publish_page
  elseif rest ~= "getDirFileTrees" then return nil, 404 end
  return rest
end

local routes = { entrance = entrance, jobhistory = jobhistory, filesystem = filesystem }

---Translates a request; nil when it has been refused.
---@param rq table request
---@param name string service
---@param rest string path behind it
---@return string? rest path as the service modules take it
function M.translate(rq, name, rest)
  local inner, code, allow = routes[name](rq, rest)
  if not inner then reply.boot(code, allow) end
  return inner
end

return M
