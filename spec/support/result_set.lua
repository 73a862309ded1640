-- A finished job with result sets, played by the fault server: its record, its folder, its pages.

local cjson = require "cjson"
local core = require "taskclient.core"
local client_module = require "taskclient.client"
local fault = require "spec.support.fault"
local results = require "taskclient.linkis.results"
local retry = require "taskclient.rpc.retry"

local M = {}

local FOLDER = "file:///result/12"

---The content of a file, nil where there is none.
function M.slurp(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

---The reply of openFile for a table of two columns; `more`: other fields of it.
function M.page(rows, more)
  local data = {
    type = "2", totalPage = 0, totalLine = #rows, page = 1, totalColumn = 2,
    metadata = { { columnName = "id", dataType = "int", comment = "" },
                 { columnName = "name", dataType = "string", comment = "" } },
    fileContent = rows,
  }
  for name, value in pairs(more or {}) do data[name] = value end
  return fault.linkis((cjson.encode(data):gsub('"fileContent":{}', '"fileContent":[]')))
end

---The rows from one number to another.
function M.rows_from(first, last)
  local rows = {}
  for i = first, last do rows[#rows + 1] = { tostring(i), "name " .. i } end
  return rows
end

local function leaf(name)
  return { name = name, path = FOLDER .. "/" .. name, isLeaf = true, children = cjson.null,
           properties = { size = "7900", modifytime = "1657113288360" }, parentPath = FOLDER }
end

---The reply with the folder's files.
function M.tree(...)
  local children = {}
  for i, name in ipairs { ... } do children[i] = leaf(name) end
  return fault.linkis { dirFileTrees = { name = "12", path = FOLDER, properties = cjson.null,
    children = children, isLeaf = false, parentPath = cjson.null } }
end

---The rule that serves the job's record.
function M.task(fields)
  local record = { taskID = 12, status = "Succeed", resultLocation = FOLDER,
                   executeApplicationName = "spark", requestApplicationName = "nightly" }
  for name, value in pairs(fields or {}) do record[name] = value end
  return { match = "/jobhistory/12/get", reply = fault.linkis { task = record } }
end

---The rule that serves a page by its number.
function M.open_page(n, reply, times)
  return { match = "/openFile.*[?&]page=" .. n .. "&", reply = reply, times = times }
end

---Scripts the server: the record, the folder with files of these names (default: one), the rules.
function M.script(fs, rules, names)
  local all = { M.task(), { match = "/getDirFileTrees", reply = M.tree((table.unpack or unpack)(
    names or { "_0.dolphin" })) } }
  for _, rule in ipairs(rules or {}) do all[#all + 1] = rule end
  fs:script(all)
end

---The job, of a client that takes replies of 40000 bytes.
function M.job(fs)
  local client = assert(core.client("linkis",
    { url = fs.url, max_body = 40000, fields = { service = "linkis", budget = retry.budget() } },
    client_module.class {}))
  return core.job(client, {}, { id = 12, client = client })
end

---The job's first set.
function M.first(job) return assert(results.list(job))[1] end

---All rows of a cursor.
function M.all(cursor)
  local rows = {}
  for row in cursor do rows[#rows + 1] = row end
  return rows
end

return M
