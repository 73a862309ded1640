-- /filesystem/*: directories, result pages and logs (protocols 3.12). Paths are logical; bytes
-- lie below the sandbox's own folder.

local db = require "taskclient.sandbox.face.db"
local json = require "taskclient.sandbox.face.json"
local logs = require "taskclient.sandbox.face.logs"
local memory = require "taskclient.sandbox.face.memory"
local reply = require "taskclient.sandbox.face.reply"
local result_file = require "taskclient.sandbox.face.result_file"
local ring = require "taskclient.sandbox.ring"
local settings = require "taskclient.sandbox.face.settings"
local versions = require "taskclient.sandbox.face.versions"

local M = {}

local function fail(code, desc) reply.fail("publicservice", code, desc) end
local function java(class, text) reply.java("publicservice", class, text) end
local function ok(rq, data) reply.backend(rq.method_name, 0, "OK", data) end

-- Paths ---------------------------------------------------------------------------------

---A path as the file table stores it: one slash each, none at the end.
function M.clean(path)
  local scheme, rest = path:match "^(%w+://)(.*)$"
  if not scheme then return path end
  rest = rest:gsub("/+", "/"):gsub("(.)/$", "%1")
  return scheme .. rest
end

local function plain(path) return (path:gsub("^%w+://", "")) end

-- Real servers want <root>/<user> in the lower-cased path, <root>/ from administrators.
local function permitted(rq, path)
  local root = "file://" .. settings.root .. "/"
  if not settings.owner_check then return path:find("../", 1, true) == nil end
  local wanted = rq.admin and root or root .. rq.user
  return path:lower():find(wanted, 1, true) ~= nil
end

local function deny(rq, path)
  fail(80010, ("The user: %s has no permission to view the contents of the"
    .. " directory:%s(该用户:%s无权限查看该目录:%s的内容).")
    :format(rq.user, path, rq.user, path))
end

---The path parameter, checked as every end point here does; raises.
---@param rq table
---@param path string?
---@param java_style boolean? a missing path is an IllegalArgumentException (isExist)
---@return string logical path
function M.checked(rq, path, java_style)
  if path == nil or path == "" then
    if java_style then
      java("IllegalArgumentException", path and "Can not create a Path from an empty string"
        or "Can not create a Path from a null string")
    end
    local shown = path or "null"
    fail(80004, ("The path:%s is empty(路径:%s 为空)!"):format(shown, shown))
  end
  if not path:find "^%w+://" then fail(80025, "the path should contain schema") end
  if not permitted(rq, path) then deny(rq, path) end
  return M.clean(path)
end

function M.lookup(path) return db.row("SELECT * FROM file WHERE path = ?", path) end

---The row of a file that must exist; raises.
function M.existing(path)
  local row = M.lookup(path)
  if not row then java("IOException", "path " .. plain(path) .. " not exists.") end
  return row
end

-- Directories -----------------------------------------------------------------------------

local function size_of(row)
  if row.kind ~= "log" then return row.size end
  return #table.concat(logs.read(memory.task(row.task)).file, "\n")
end

local function node(row, parent)
  local leaf = row.kind ~= "dir"
  return { name = row.path:match "[^/]*$", path = row.path, children = json.null, isLeaf = leaf,
    parentPath = parent, properties = leaf
      and { size = ("%d"):format(size_of(row)), modifytime = ("%d"):format(row.mtime_ms) } or {} }
end

local function tree(rq)
  local path = M.checked(rq, rq.query.path)
  local row = M.lookup(path)
  if not row or row.kind ~= "dir" then return ok(rq, { dirFileTrees = json.null }) end
  local children = json.array()
  -- Unsorted, as a file system gives them.
  for i, child in ipairs(db.rows("SELECT * FROM file WHERE parent = ? ORDER BY (length(path) *"
    .. " 31 + "
    .. "unicode(substr(path, -9)) * 7 + rowid * 13) % 11, rowid DESC", path)) do
    children[i] = node(child, path)
  end
  ok(rq, { dirFileTrees = { name = path:match "[^/]*$", path = path, properties = json.null,
    children = children, isLeaf = false, parentPath = json.null } })
end

-- openFile ----------------------------------------------------------------------------------

local suffixes = {}
for suffix in ("dolphin sql scala py py3 hql python out log text sh jdbc ngql psql fql tsql txt"
  .. " aisql"):gmatch "%S+" do
  suffixes[suffix] = true
end

local function whole(rq, name, default)
  local text = rq.query[name]
  if text == nil or text == "" then return default end
  if not text:find "^%-?%d+$" then reply.refuse(400) end
  return tonumber(text)
end

-- How a stored cell is shown: nil (SQL NULL), "" and "NULL" by nullValue (protocols 3.12.2).
local function shower(rq)
  local null_value = rq.query.nullValue
  if not versions.profile().null_value then null_value = nil end
  if null_value == "LINKIS_NULL" then return nil end
  if null_value == nil or null_value == "" or null_value:upper() == "BLANK" then
    return function(cell) return cell == json.null and "NULL" or cell end
  end
  return function(cell)
    if cell == json.null or cell == "NULL" or cell == "" then return null_value end
    return cell
  end
end

-- first, last column of the page asked for, or nil for all.
local function columns_of(rq, total)
  if not versions.profile().column_paging or rq.query.enableLimit ~= "true" then return nil end
  local page, size = whole(rq, "columnPage", 1), whole(rq, "columnPageSize", 500)
  if page < 1 or size < 0 or size > 500 then
    fail(80036, "Parameter error, page size is incorrect, please pass in a number within [1-500] "
      .. "(分页参数错误，页码从1开始，页大小需在[1-500]范围内，获取的列索引需在实际结果集列数范围内)")
  end
  local first = (page - 1) * size
  if first >= total and total > 0 then
    reply.warn("publicservice", 52004, ("Column index value %d exceed limit %d"):format(first,
      total))
  end
  return first + 1, math.min(first + size, total)
end

local function slice(list, first, last)
  local out = json.array()
  for i = first, last do out[#out + 1] = list[i] end
  return out
end

local function page_rows(rq, set, lines)
  local show = shower(rq)
  local first, last
  if set.type == "2" then first, last = columns_of(rq, #set.metadata) end
  if not show and not first then
    return json.raw(json.escaped("[" .. table.concat(lines, ",") .. "]"))
  end
  local rows = json.array()
  for i, line in ipairs(lines) do
    local row = json.array(json.decode(line))
    if show then
      for c = 1, #row do row[c] = show(row[c]) end
    end
    rows[i] = first and slice(row, first, last) or row
  end
  return rows, first, last
end

local LONG_CELL = 1000000 -- with enableLimit a longer cell prohibits the display

local function prohibited(rq, lines)
  if rq.query.enableLimit ~= "true" or not versions.profile().column_paging then return false end
  for _, line in ipairs(lines) do
    if #line > LONG_CELL then return true end
  end
  return false
end

local function open_result(rq, row)
  local set, err = result_file.open(row)
  if not set then
    java("IOException", "File header type must be dolphin,content:"
      .. (err == "not a result set" and row.size > 0 and err or "") .. " is not")
  elseif set.type == "3" then
    java("UnsupportedOperationException", "io result sets cannot be opened")
  end
  local page, size = whole(rq, "page", 1), whole(rq, "pageSize", 5000)
  local limit = versions.profile().row_limit
  if limit and size > limit then
    set.file:close()
    fail(80034, "The result set exceeds 100,000 rows and page viewing is currently not"
      .. " supported. Please "
      .. "download to view or view in the shared"
        .. " directory(结果集行数超过100,000行，暂不支持页面查看。请下载查看或在共享目录中查看)")
  end
  local lines = result_file.rows(set, (math.max(page, 1) - 1) * size, size)
  set.file:close()
  if prohibited(rq, lines) then
    return ok(rq, { type = set.type, display_prohibited = true, zh_msg = "结果集存在字段值字符数超过10000",
      en_msg = "The result set has a field whose characters exceed 10000" })
  end
  local rows, first, last = page_rows(rq, set, lines)
  local data = { type = set.type, metadata = set.metadata, fileContent = rows, page = page,
    totalLine = #lines, totalPage = 0 }
  if set.type == "2" then
    data.metadata = json.array(first and slice(set.metadata, first, last) or set.metadata)
    if versions.profile().column_paging then data.totalColumn = #set.metadata end
  end
  ok(rq, data)
end

local function bytes_of(row)
  if row.kind == "log" then return table.concat(logs.read(memory.task(row.task)).file, "\n") end
  local file = io.open(row.disk, "rb")
  local text = file and file:read "*a" or ""
  if file then file:close() end
  return text
end

M.bytes_of = bytes_of

local function open_file(rq)
  local path = M.checked(rq, rq.query.path)
  local row = M.existing(path)
  if row.kind == "dir" or not suffixes[path:match "%.(%w+)$" or ""] then
    fail(54001, "Unsupported open file type(不支持打开的文件类型)")
  end
  if path:find "%.dolphin$" then return open_result(rq, row) end
  if row.size > 30 * 1024 * 1024 then
    fail(80032, "The file size exceeds 30M and page viewing is not supported")
  end
  ok(rq, { type = "script/text", metadata = {}, totalLine = 1, totalPage = 0, page = whole(rq,
    "page", 1),
    fileContent = json.array { json.array { bytes_of(row) } } })
end

-- Logs and small ones ------------------------------------------------------------------------

local function levels_asked(rq)
  local text = versions.profile().log_level and rq.query.logLevel
  if not text or text == "all" then return nil end
  local set = {}
  for name in text:gmatch "%a+" do
    if name ~= "error" and name ~= "warn" and name ~= "info" then return nil end
    set[name] = true
  end
  return next(set) and set or nil
end

local LOG_LIMIT = 30 * 1024 * 1024

local function open_log(rq)
  local row = M.existing(M.checked(rq, rq.query.path))
  local file = {}
  if row.kind == "log" then
    local task = memory.task(row.task)
    local late = task.ended_ms and ngx.now() * 1000 - task.ended_ms < settings.log_file_delay * 1000
    if not late then file = logs.read(task).file end
  else
    for line in (bytes_of(row)):gmatch "([^\n]*)\n?" do file[#file + 1] = line end
  end
  local four = ring.open_log(file, levels_asked(rq))
  if #four[4] > LOG_LIMIT then
    fail(80033, "The log file exceeds 30M and page viewing is not supported(日志文件过大，不支持页面查看)")
  end
  ok(rq, { log = json.array(four) })
end

local function file_info(rq)
  local path = M.checked(rq, rq.query.path)
  local row = M.existing(path)
  local set = row.kind == "result" and result_file.open(row)
  if not set then java("IOException", "File header type must be dolphin,content: is not") end
  set.file:close()
  local cap = whole(rq, "pageSize", 5000)
  local rows = row.rows or 0
  ok(rq, { path = path, rowNumber = cap < 0 and rows or math.min(rows, cap),
    colNumber = set.type == "2" and #set.metadata or 1 })
end

local function is_exist(rq)
  ok(rq, { isExist = M.lookup(M.checked(rq, rq.query.path, true)) ~= nil })
end

local function user_root(rq)
  if not settings.users[rq.user] then
    fail(80031, ("User: %s not initialized(用户:%s未初始化)"):format(rq.user, rq.user))
  end
  local kind = rq.query.pathType or "hdfs"
  local name = kind == "hdfs" and "userHDFSRootPath" or kind == "s3" and "userS3RootPath"
    or "userLocalRootPath"
  local scheme = kind == "hdfs" and "hdfs" or kind == "s3" and "s3" or "file"
  ok(rq, { [name] = ("%s://%s/%s"):format(scheme, settings.root, rq.user) })
end

-- end point behind /filesystem/ -> verb and function; export.lua and files.lua add theirs
M.routes = {
  getDirFileTrees = { "GET", tree }, openFile = { "GET", open_file }, openLog = { "GET", open_log },
  fileInfo = { "GET", file_info }, isExist = { "GET", is_exist }, getUserRootPath = { "GET",
    user_root },
}

---Answers what stands behind /filesystem/.
---@param rq table request
---@param rest string raw path behind /filesystem/
function M.handle(rq, rest)
  rq.method_name = "/api/filesystem/" .. ngx.unescape_uri(rest)
  local route = M.routes[rest]
  if not route then return reply.boot(404) end
  if rq.method ~= route[1] and not (rq.method == "HEAD" and route[1] == "GET") then
    return reply.boot(405, route[1])
  end
  route[2](rq)
end

return M
