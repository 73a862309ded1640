-- A bulk load's spec, checked and written as the server's form fields
-- (protocols L3 to 6). Sends nothing.

local each = require "taskclient.compat".each
local config = require "taskclient.lindorm.config"
local core = require "taskclient.core"
local options = require "taskclient.options"
local types = require "taskclient.lindorm.types"

local M = {}

M.SCHEMA = {
  src = "!text", dst = "!text", reader = "!table|text", writer = "!table|text",
  instances = "!count", file_type = "text", driver_spec = "text",
  spark = "text|table", spark_encode = "function", extra = "table", timeout = "duration",
}

-- the page names these and no more; `client:call` sends what it is told
local DRIVER_SPECS = { small = true, medium = true, large = true, xlarge = true }
-- what the page knows; anything else is passed on, with a warning
local FILE_TYPES = { CSV = true, Parquet = true }
local FIELDS = {
  src = true, dst = true, readerConfig = true, writerConfig = true, driverSpec = true,
  instances = true, fileType = true, sparkAdditionalParams = true,
}
local SPEC_NAMES = {
  src = "src", dst = "dst", fileType = "file_type", sparkAdditionalParams = "spark",
}
local READER_KEYS = {
  "column", "delimite", "delimiter", "filePath", "header", "numPartitions", "partition", "table",
}
local WRITER_KEYS = { "columns", "compression", "lindormTable", "namespace", "timestamp" }
-- members that are arrays by the server's page, also when they are empty
local LISTS = { column = true, columns = true }

-- ---- what is sent ----------------------------------------------------------

-- `column = {}` written by hand is an array too.
local function with_lists(given)
  local copy
  for name in each(LISTS) do
    local list = given[name]
    if type(list) == "table" and next(list) == nil then
      copy = copy or setmetatable({}, getmetatable(given))
      copy[name] = core.array()
    end
  end
  if not copy then return given end
  for name, value in each(given) do
    if copy[name] == nil then copy[name] = value end
  end
  return copy
end

local function config_text(given, name)
  local text, why
  if type(given) == "table" then
    text, why = core.encode(with_lists(given), name)
    if not text then return nil, why end
  else
    local value
    value, why = core.decode(given)
    if value == nil then
      return nil, ("%s: a table or the JSON text of an object expected, and this text is none (%s)")
        :format(name, why.message)
    end
    text = given
  end
  if text:find "^%s*{" then return text end
  return nil, name .. ": a JSON object expected"
end

local function spark_text(spec)
  if type(spec.spark) ~= "table" then return spec.spark end
  if not spec.spark_encode then
    return nil, "field 'spark': its syntax is not published; give text, or 'spark_encode', "
      .. "a function that writes the table"
  end
  local text = spec.spark_encode(spec.spark)
  if type(text) == "string" then return text end
  return nil, "field 'spark_encode': the function gave no text"
end

local function extra_fields(spec)
  local extra = {}
  for name, value in each(spec.extra or {}) do
    if FIELDS[name] then
      return nil, ("field 'extra': '%s' is no further field, it is one of the spec's own")
        :format(name)
    end
    if type(name) ~= "string" or name == "" or name:find("\0", 1, true) then
      return nil, ("field 'extra': names and their texts expected; '%s' is no further field")
        :format(tostring(name))
    end
    if type(value) == "table" or type(value) == "function" then
      return nil, ("field 'extra.%s': text expected, got %s"):format(name, type(value))
    end
    extra[name] = type(value) == "number" and assert(core.encode(value)) or tostring(value)
  end
  return next(extra) ~= nil and extra or nil
end

local function driver_spec(spec)
  local word = spec.driver_spec or "large"
  if DRIVER_SPECS[word] then return word end
  return nil, ("field 'driver_spec': small, medium, large or xlarge expected, not '%s'")
    :format(word)
end

-- What is wrong with the texts that go out as they are; those of the configs are JSON's to check.
local function text_complaint(args)
  for _, name in ipairs { "src", "dst", "fileType", "sparkAdditionalParams" } do
    local _, why = core.encode(args[name] or "", "field '" .. SPEC_NAMES[name] .. "'")
    if why then return why end
  end
  for name, value in each(args.extra or {}) do
    local _, why = core.encode({ [name] = value }, "field extra")
    if why then return why end
  end
end

--- Refuses a wrong spec at the caller's line.
---@param spec table
function M.check(spec)
  options.argument("submit", "spec", spec, "table")
  options.check("submit", spec, M.SCHEMA, "field")
end

--- The operation's arguments.
---@param spec table checked
---@return table|nil args
---@return string[]|nil complaints why there are none
function M.args(spec)
  local complaints = {}
  local function part(value, why)
    complaints[#complaints + 1] = why
    return value
  end
  local args = {
    src = spec.src, dst = spec.dst, driverSpec = part(driver_spec(spec)),
    instances = spec.instances, fileType = spec.file_type or config.file_type(spec.reader),
    readerConfig = part(config_text(spec.reader, "reader")),
    writerConfig = part(config_text(spec.writer, "writer")),
    sparkAdditionalParams = part(spark_text(spec)), extra = part(extra_fields(spec)),
  }
  part(nil, text_complaint(args))
  part(nil, config.mismatch(spec.reader, spec.writer))
  if #complaints > 0 then return nil, complaints end
  return args
end

-- ---- what is doubtful ------------------------------------------------------

local function decoded(given)
  if type(given) == "table" then return given end
  local value = core.decode(given)
  return type(value) == "table" and value or {}
end

-- The texts of a list, and how many elements it has.
local function texts(value)
  local list, count = {}, 0
  for i, item in ipairs(type(value) == "table" and value or list) do
    count = i
    if type(item) == "string" then list[#list + 1] = item end
  end
  return list, count
end

local function key_complaints(add, name, given, known)
  local set, strange = {}, {}
  for _, word in ipairs(known) do set[word] = true end
  for key in each(given) do
    if not set[key] then strange[#strange + 1] = tostring(key) end
  end
  table.sort(strange)
  for _, key in ipairs(strange) do
    add(true, "%s: %s", name, options.unknown("key", key, known))
  end
end

local function list_complaint(add, name, value)
  add(value ~= nil and (type(value) ~= "table" or value[1] == nil and next(value) ~= nil),
    "%s: a list expected, as { 'id', 'name' }, for their order counts", name)
end

local function twice(add, name, list)
  local seen = {}
  for _, column in ipairs(list) do
    add(seen[column] and not column:find "^ROW||", "%s names the column %s twice", name, column)
    seen[column] = true
  end
end

local function reader_complaints(add, spec, reader)
  key_complaints(add, "reader", reader, READER_KEYS)
  local path, columns = reader.filePath, texts(reader.column)
  local complaint = type(path) == "string" and config.folder_complaint(path)
  add(complaint, "reader.filePath: %s", complaint)
  add(path ~= nil and not spec.file_type and not config.file_type(spec.reader),
    "file_type is missing: with a source on HDFS it must be given")
  add(spec.file_type == "CSV" and columns[1] and not columns[1]:find "[^%w_.-]",
    "reader.column: the columns of CSV files need types, as in 'id|bigint', not %s", columns[1])
  local made = config.file_type(spec.reader)
  local kind = spec.file_type or made
  add(columns[1] and columns[1]:find("|", 1, true)
    and (reader.table or kind and kind:lower() ~= "csv"),
    "reader.column: '%s': only the columns of CSV files carry a type", columns[1])
  add(made and made ~= kind, "file_type: %s, though the reader was made for %s", kind, made)
  list_complaint(add, "reader.column", reader.column)
  twice(add, "reader.column", columns)
end

local function cell_complaints(add, columns)
  local rows, cells = 0, 0
  for _, column in ipairs(columns) do
    local word = column:match "||(.*)$"
    if word then
      cells = cells + 1
      add(not types.hbase(word), "writer.columns: no map has the type '%s'; known: %s", word,
        types.known "HBase")
    end
    add(not word and column:find("|", 1, true),
      "writer.columns: '%s': an HBase column is written family:name||Type, with two bars", column)
    rows = rows + (column:find "^ROW||" and 1 or 0)
  end
  add(cells > 0 and cells < #columns, "writer.columns: SQL columns and HBase columns in one table")
  add(cells > 0 and rows ~= 1, "writer.columns: %d row keys (ROW||Type); one is known to work",
    rows)
end

local function writer_complaints(add, writer)
  key_complaints(add, "writer", writer, WRITER_KEYS)
  local compression, columns = writer.compression, texts(writer.columns)
  add(compression and compression ~= "zstd" and compression ~= "none",
    "writer.compression: zstd and none are known, not %s", tostring(compression))
  add(not writer.lindormTable, "writer.lindormTable is missing")
  add(tostring(writer.lindormTable):find(".", 1, true),
    "writer.lindormTable: %s; the namespace is a key of its own", tostring(writer.lindormTable))
  list_complaint(add, "writer.columns", writer.columns)
  cell_complaints(add, columns)
  twice(add, "writer.columns", columns)
end

local function value_complaints(add, spec)
  local file_type = spec.file_type or config.file_type(spec.reader)
  add(file_type and not FILE_TYPES[file_type], "file_type: CSV and Parquet are known, not %s",
    file_type)
  local spark = type(spec.spark) == "string" and spec.spark or ""
  for _, key in ipairs { "spark.master", "spark.submit.deployMode" } do
    add(spark:find(key, 1, true), "spark: %s cannot be set", key)
  end
end

--- What the server's pages know nothing of, or know to be otherwise.
---@param spec table checked
---@return string[] complaints
function M.warnings(spec)
  local list = {}
  local function add(condition, text, ...)
    if condition then list[#list + 1] = text:format(...) end
  end
  local reader, writer = decoded(spec.reader), decoded(spec.writer)
  value_complaints(add, spec)
  reader_complaints(add, spec, reader)
  writer_complaints(add, writer)
  local from, to = select(2, texts(reader.column)), select(2, texts(writer.columns))
  add(reader.column and writer.columns and from ~= to
      and not config.mismatch(spec.reader, spec.writer), -- which says so too
    "reader and writer have %d and %d columns; they pair by position", from, to)
  return list
end

-- All that is wrong with the fields, where submit names the first; and the fields that are right.
local function wrong_fields(spec)
  local list, sound = {}, {}
  for name, types_of in each(M.SCHEMA) do
    if spec[name] == nil and types_of:find "^!" then
      list[#list + 1] = ("field '%s' is missing"):format(name)
    end
  end
  for name, value in each(spec) do
    local types_of = M.SCHEMA[name]
    local complaint = options.complaint({ [name] = value },
      types_of and { [name] = types_of } or M.SCHEMA, "field")
    list[#list + 1] = complaint
    if not complaint then sound[name] = value end
  end
  table.sort(list)
  return list, sound
end

-- Whether a closer look at the two configs tells more than that they are none.
local function readable(spec)
  return config_text(spec.reader, "reader") and config_text(spec.writer, "writer")
    and not config.swapped(spec.reader, spec.writer)
end

--- All complaints, and the form's text where it can be made.
---@param client userdata
---@param spec table
---@return string[] complaints
---@return string|nil body
function M.validate(client, spec)
  local list, sound = wrong_fields(spec)
  if not sound.reader or not sound.writer then return list end
  local args, why = M.args(sound)
  if #list > 0 then args = nil end
  for _, complaints in ipairs { why or {}, readable(sound) and M.warnings(sound) or {} } do
    for _, complaint in ipairs(complaints) do list[#list + 1] = complaint end
  end
  return list, args and client:check("create", args)
end

return M
