-- A Linkis server played by the fault server, for specs of the client's public
-- surface: records as a real 1.8.0 gives them, and the rules that serve them.
-- Knows shapes; decides nothing.

local cjson = require "cjson"
local fault = require "spec.support.fault"
local taskclient = require "taskclient"

local M = { null = cjson.null, USER = "hadoop", TOKEN = "canary-5b1d-token" }

M.ENTRANCE = "127.0.0.1:9104"
M.FOLDER = "file:///tmp/linkis/result/12"
M.LOG = "file:///tmp/linkis/hadoop/log/12.log"

---A client of the fault server, by token unless `more` says otherwise.
function M.client(fs, more)
  local options = { url = fs.url, user = M.USER, token = M.TOKEN }
  for name, value in pairs(more or {}) do options[name] = value end
  if options.password then options.token = nil end
  return assert(taskclient.linkis(options))
end

---The full execID of a short one.
function M.exec(short, entrance)
  entrance = entrance or M.ENTRANCE
  return ("exec_id018%03dlinkis-cg-entrance%s%s"):format(#entrance, entrance,
    short or "taskclient_hadoop_shell_0")
end

---A task object as /get and the lists show it.
function M.record(fields)
  local record = {
    taskID = 12, instance = M.ENTRANCE, execId = "taskclient_hadoop_shell_0",
    strongerExecId = M.exec(), umUser = M.USER, executeUser = M.USER, status = "Running",
    progress = "0.0", createdTime = 1795312234000, updatedTime = 1795312235123,
    engineType = "shell", executeApplicationName = "shell", requestApplicationName = "taskclient",
    runType = "shell", errCode = cjson.null, errDesc = cjson.null, logPath = M.LOG,
    resultLocation = M.FOLDER, costTime = 1000, executionCode = cjson.null,
    paramsJson = "{}", sourceJson = "{}", labels = { "engineType:shell-1" }, canRetry = false,
  }
  for name, value in pairs(fields or {}) do record[name] = value end
  return record
end

---The reply of /jobhistory/{id}/get.
function M.task(fields) return fault.linkis { task = M.record(fields) } end

---A rule that serves a task's record, so many times or for good.
function M.get(fields, times)
  local id = fields and fields.taskID or 12
  return { match = ("/jobhistory/%d/get"):format(id), reply = M.task(fields), times = times }
end

---A yes or a no of the server for whatever matches.
function M.ok(match, data, times) return { match = match, reply = fault.linkis(data or "{}"),
  times = times } end

function M.no(match, message, opts)
  opts = opts or {}
  return { match = match, times = opts.times, reply = fault.linkis(opts.data or "{}", {
    status = opts.status or 1, http = opts.http or 400, message = message }) }
end

---A page of /jobhistory/list.
function M.list(records, total)
  local list = {}
  for i, fields in ipairs(records) do list[i] = cjson.encode(M.record(fields)) end
  return fault.linkis(('{"tasks":[%s],"totalPage":%d}'):format(table.concat(list, ","),
    total or #records))
end

---The reply of a submit.
function M.accepted(id, exec)
  return fault.linkis { taskID = id or 12, execID = exec or M.exec() }
end

---A log page: four texts, the last one all of it.
function M.log(lines, from)
  local text = type(lines) == "table" and table.concat(lines, "\n") or lines
  return fault.linkis { log = text, fromLine = from, execID = M.exec() }
end

---The log file, as openLog gives it.
function M.open_log(lines)
  local text = table.concat(lines, "\n") .. (#lines > 0 and "\n" or "")
  return { match = "/openLog", reply = fault.linkis { log = { "", "", "", text } } }
end

---The tree of a result folder.
function M.tree(...)
  local children = {}
  for i, name in ipairs { ... } do
    children[i] = { name = name, path = M.FOLDER .. "/" .. name, isLeaf = true,
      children = cjson.null, parentPath = M.FOLDER,
      properties = { size = "7900", modifytime = "1657113288360" } }
  end
  return { match = "/getDirFileTrees", reply = fault.linkis { dirFileTrees = { name = "12",
    path = M.FOLDER, properties = cjson.null, children = children, isLeaf = false,
    parentPath = cjson.null } } }
end

---A page of openFile: a table unless `more` says otherwise.
function M.page(rows, more)
  local data = { type = "2", totalPage = 0, totalLine = #rows, page = 1, totalColumn = 2,
    metadata = { { columnName = "id", dataType = "int", comment = "" },
                 { columnName = "name", dataType = "string", comment = "" } },
    fileContent = rows }
  for name, value in pairs(more or {}) do data[name] = value end
  return fault.linkis((cjson.encode(data):gsub('"fileContent":{}', '"fileContent":[]')))
end

---The JSON body of a request in the journal.
function M.body(request) return cjson.decode(request.body) end

---A shell spec.
function M.shell(code, more)
  local spec = { code = code or "echo x", run_type = "shell", engine = "shell-1" }
  for name, value in pairs(more or {}) do spec[name] = value end
  return spec
end

---All that a cursor gives.
function M.all(cursor)
  local list = {}
  for item in cursor do list[#list + 1] = item end
  return list
end

return M
