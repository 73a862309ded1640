-- rs:export() and job:export(): the server's own CSV and XLSX, as it is: no
-- escaping, NULL for empty cells (protocols 3.12.3). What is added is that a
-- file which is not the whole result is found out.

local core = require "taskclient.core"
local failure = require "taskclient.error"
local history = require "taskclient.linkis.history"
local host = require "taskclient.host"
local options = require "taskclient.options"
local request = require "taskclient.rpc.request"

local M = {}

local ALL = 2147483647 -- rows; without a limit the server stops at 5000

local SET_SCHEMA = {
  format = "string", limit = "count", separator = "string", null = "string", quote = "boolean",
  keep_newlines = "boolean", charset = "text", name = "text", sheet = "text",
  auto_format = "boolean", masked = "text", overwrite = "boolean", check = "boolean",
  timeout = "duration", durable = "boolean",
}
local JOB_SCHEMA = {
  limit = "count", null = "string", name = "text", auto_format = "boolean", masked = "text",
  overwrite = "boolean", timeout = "duration", durable = "boolean",
}

local BROKEN_OFF = { network = true, protocol = true }

local function refused(job, path, kind, message, hint)
  return nil, failure.new(kind, message,
    { operation = "export", job_id = job.id, path = path, retryable = false, hint = hint })
end

-- What may do where the server's export does not.
local INSTEAD = "rs:save writes the rows itself"
local INSTEAD_OF_XLSX = INSTEAD .. ", and the server's CSV may do where XLSX does not"

local function fetch(job, operation, args, path, opts)
  local _, bytes, err = request.send(job.client, operation, args,
    { file = path, timeout = opts.timeout, durable = false })
  if not bytes then
    err.job_id = job.id
    if err.kind == "service" and not err.hint then
      err.hint = args.outputFileType == "csv" and INSTEAD or INSTEAD_OF_XLSX
    end
    return nil, err
  end
  return bytes
end

-- Lines of a file, read by the block.
local function count_lines(path)
  local file, why = io.open(path, "rb")
  if not file then return nil, why end
  local lines, last = 0, "\n"
  for block in function() return file:read(65536) end do
    local _, n = block:gsub("\n", "")
    lines, last = lines + n, block:sub(-1)
  end
  file:close()
  return last == "\n" and lines or lines + 1
end

-- What is wrong with a spreadsheet, or nil. It is a zip file, which ends with its
-- directory; one that was cut does not.
local function missing_end(path)
  local file, why = io.open(path, "rb")
  if not file then return why end
  local head, size = file:read(2), file:seek "end"
  file:seek("set", math.max(0, size - 66000))
  local tail = file:read "*a" or ""
  file:close()
  if head and head ~= "PK" then return "the answer is no spreadsheet" end
  return not tail:find("PK\5\6", 1, true) and "the export was cut: the spreadsheet has no end"
    or nil
end

-- Has `get` write a file beside the path's target, which takes its place once `missing` has
-- nothing to say of it: an export that was cut leaves an older file alone.
local function take(job, path, opts, get, missing)
  local target, why = core.target(path, opts.overwrite)
  if not target then return refused(job, path, why.kind, why.message) end
  local temp = target:match "^.*/" or ""
  temp = temp .. ".taskclient-" .. core.random(8) .. ".part"
  local bytes, err = get(temp)
  if not bytes then return nil, err end
  local what = missing(temp)
  if what then
    os.remove(temp)
    return refused(job, path, "protocol", what,
      missing == missing_end and INSTEAD_OF_XLSX or INSTEAD)
  end
  local ok
  ok, err = core.place(temp, target, opts.overwrite, host.durable(job.client, opts.durable))
  if ok then return bytes end
  os.remove(temp)
  return refused(job, path, err.kind, err.message)
end

local TAIL = 65536 -- bytes in which the last line is looked for

local function separators(line, separator)
  local n, at = 0, 1
  while true do
    local from, to = line:find(separator, at, true)
    if not from then return n end
    n, at = n + 1, to + 1
  end
end

-- Whether the last row stops before its last column. A separator in a cell, or in a column's
-- name, can only make more.
local function stops_short(path, separator, columns)
  local file = io.open(path, "rb")
  if not file then return false end
  local head, size = file:read "*l" or "", file:seek "end"
  file:seek("set", math.max(0, size - TAIL))
  local last = (file:read "*a" or ""):match "\n([^\n]+)$"
  file:close()
  return last ~= nil
    and separators(last, separator) < math.min(separators(head, separator), columns - 1)
end

-- The rows of a CSV against the server's own count. A newline in a cell can only
-- make lines more.
local function missing_rows(rs, opts, path)
  if opts.check == false then return nil end
  local total = rs:count()
  local lines = total and count_lines(path)
  local expected = lines and math.min(total, opts.limit or ALL)
  if not lines or lines > expected + 1 then return nil end
  if lines <= expected then
    return ("the export was cut: %d of %d rows came"):format(math.max(0, lines - 1), expected)
  end
  local separator = opts.separator or ","
  if separator == "" or separator == "t" then separator = "\t" end
  local columns = rs:columns()
  return columns and stops_short(path, separator, #columns)
    and "the export was cut inside of its last row" or nil
end

local function set_args(rs, opts, format)
  return {
    path = rs.path, outputFileType = format, limit = opts.limit or ALL,
    csvSeparator = opts.separator, csvSeperator = opts.separator,
    csvSeerator = opts.separator, nullValue = opts.null,
    quoteRetouchEnable = opts.quote, keepNewline = opts.keep_newlines, charset = opts.charset,
    outputFileName = opts.name, sheetName = opts.sheet, autoFormat = opts.auto_format,
    maskedFieldNames = opts.masked,
  }
end

-- Endings that promise what the server does not write: CSV in them would mislead.
local OTHERS = { json = true, jsonl = true, parquet = true, tsv = true, xls = true }

local function format_of(path, opts)
  local ending = (path:match "%.(%w+)$" or ""):lower()
  if ending == "tsv" and opts.separator then ending = "csv" end
  if not opts.format and OTHERS[ending] then return nil end
  local format = opts.format or ending == "xlsx" and "xlsx" or "csv"
  if format ~= "csv" and format ~= "xlsx" then
    options.raise("export", options.unknown("format", format, { "csv", "xlsx" }))
  end
  return format
end

-- The published page calls the spreadsheet "excel", real servers know "xlsx".
local function fetch_set(rs, opts, format, path)
  local args = set_args(rs, opts, format)
  local bytes, err = fetch(rs.job, "resultsetToExcel", args, path, opts)
  if bytes or format ~= "xlsx" or err.kind ~= "service" or err.code then return bytes, err end
  args.outputFileType = "excel"
  bytes = fetch(rs.job, "resultsetToExcel", args, path, opts)
  return bytes, err
end

--- Has the server write a result set as CSV or XLSX. Its CSV escapes nothing and
--- writes empty cells as NULL: `rs:save` writes a file that can be read back.
---@param rs taskclient.ResultSet
---@param path string
---@param opts table|nil format ("csv", "xlsx"; else by the path's ending), limit (rows; default
---  all), separator, null ("LINKIS_NULL", "BLANK" or any word), quote, keep_newlines, charset,
---  name, sheet, auto_format, masked, overwrite, check (false: rows are not counted), timeout,
---  durable (the file is synced before it gets its name; default: in plain scripts)
---@return integer|nil bytes
---@return table|nil err
function M.set(rs, path, opts)
  options.argument("export", "path", path, "text")
  opts = options.check("export", opts, SET_SCHEMA)
  local format = format_of(path, opts)
  if not format then
    return refused(rs.job, path, "unsupported", ("the server writes csv and xlsx; %s has another "
      .. "ending, and no format was given"):format(path))
  end
  local ok, err = rs:peek()
  local kind = rawget(rs, "kind") -- known too where rows are not shown
  if not ok and not kind then return nil, err end
  if kind ~= "table" then
    return refused(rs.job, path, "unsupported", ("a %s set cannot be exported: the server's CSV "
      .. "loses its line breaks; use rs:save"):format(kind))
  end
  return take(rs.job, path, opts,
    function(temp) return fetch_set(rs, opts, format, temp) end,
    format == "xlsx" and missing_end or function(temp) return missing_rows(rs, opts, temp) end)
end

-- Whether a job is known to have no table among its results.
local function without_table(job)
  local sets = job:results()
  for _, rs in ipairs(sets or {}) do
    local kind = rs:type()
    if kind == nil or kind == "table" then return false end
  end
  return sets ~= nil
end

--- Has the server write all table sets of a job as the sheets of one XLSX.
---@param job userdata
---@param path string
---@param opts table|nil limit (rows; default all), null, name, auto_format, masked, overwrite,
---  timeout, durable
---@return integer|nil bytes
---@return table|nil err
function M.job(job, path, opts)
  options.argument("export", "path", path, "text")
  opts = options.check("export", opts, JOB_SCHEMA)
  local record, folder = history.place(job)
  if not record then return nil, folder end
  if not folder then return refused(job, path, "unsupported", "the job has no results") end
  local args = {
    path = folder, limit = opts.limit or ALL, nullValue = opts.null, outputFileName = opts.name,
    autoFormat = opts.auto_format, maskedFieldNames = opts.masked,
  }
  local bytes, err = take(job, path, opts,
    function(temp) return fetch(job, "resultsetsToExcel", args, temp, opts) end, missing_end)
  -- a real server breaks off where it has no sheet to write
  if not bytes and BROKEN_OFF[err.kind] and without_table(job) then
    return refused(job, path, "unsupported", "no result of the job is a table; use rs:save")
  end
  return bytes, err
end

return M
