-- Builders of the reader's and the writer's config, which refuse what the
-- reference knows to be a mistake (protocols L4, L5). Where it knows nothing
-- a config may be written by hand and goes out as it is.
local core = require "taskclient.core"
local options = require "taskclient.options"
local types = require "taskclient.lindorm.types"

local M = {}

-- config made here -> of a reader { kind =, names =, types = }, of a writer { writer = true };
-- nothing of it is sent
local built = setmetatable({}, { __mode = "k" })

--- The file type that goes with a reader made here, or nil.
---@param config any
---@return string|nil
---@private
function M.file_type(config) return built[config] and built[config].kind end

local FILES = {
  csv = true, tsv = true, txt = true, parquet = true, orc = true, gz = true, zip = true,
  snappy = true,
}

--- What is wrong with a path that should name a folder, or nil.
---@param path string
---@return string|nil
---@private
function M.folder_complaint(path)
  local ending = path:lower():match "%.(%w+)$"
  if ending and FILES[ending] then
    return ("a folder is wanted, '%s' looks like a file (a folder: write '%s/')"):format(path,
      path)
  end
end

local function refuse(where, text, ...)
  options.raise("lindorm." .. where, text:format(...))
end

local function check_folder(where, path)
  local complaint = M.folder_complaint(path)
  if complaint then refuse(where, "field 'path': %s", complaint) end
end

-- ---- readers ---------------------------------------------------------------

-- "id", {"id", "INT64"} or {name = "id", type = "INT64"}: its name and, perhaps, its type in
-- the file.
local function name_and_type(where, kind, i, column)
  local name, word = column, nil
  if type(column) == "table" then
    name, word = column[1] or column.name, column[2] or column.type
  end
  if type(name) ~= "string" or name == "" then
    refuse(where, "field 'columns'[%d]: a name expected", i)
  end
  if word ~= nil and (not kind or types.becomes(kind, word) == nil) then
    refuse(where, "field 'columns'[%d]: no map has the type '%s'%s", i, tostring(word),
      kind and "; known: " .. types.known(kind) or " of such a source")
  end
  return name, word
end

local function check_list(where, columns)
  if #columns > 0 then return end
  refuse(where, "field 'columns': %s", next(columns) == nil and "no column"
    or "a list expected, as { 'id', 'name' }, for their order counts")
end

local function read_columns(where, kind, columns)
  check_list(where, columns)
  local names, words = {}, {}
  for i, column in ipairs(columns) do
    names[i], words[i] = name_and_type(where, kind, i, column)
  end
  return core.array(names), words
end

local function keep(config, kind, names, words)
  built[config] = { kind = kind, names = names, types = words or {} }
  return config
end

local FILE_SCHEMA = { path = "!text", columns = "!table" }

local function file_reader(where, kind, given)
  options.check("lindorm." .. where, given, FILE_SCHEMA, "field")
  check_folder(where, given.path)
  local names, words = read_columns(where, kind, given.columns)
  return keep({ filePath = given.path, column = names }, kind, names, words)
end

--- Reader of a folder of Parquet files on HDFS or OSS.
---@param given table path (folder), columns (names in the files, in order, or {name, type} with
---  the type in the file, as "INT64", which is checked and not sent)
---@return table config
function M.parquet(given)
  local config = file_reader("parquet", "Parquet", given)
  return config
end

--- Reader of a folder of ORC files. The API page names only CSV and Parquet as file types.
---@param given table path, columns
---@return table config
function M.orc(given)
  local config = file_reader("orc", "ORC", given)
  return config
end

local CSV_SCHEMA = {
  path = "!text", columns = "!table", header = "boolean|string", delimiter = "text",
  delimiter_key = "text", separator = "text",
}

-- CSV is text, so each column needs its type: {"id", "bigint"} or "id|bigint".
local function typed_column(i, column, separator)
  if type(column) == "table" then
    local name, word = name_and_type("csv", "CSV", i, column)
    if word then return name .. separator .. word, name, word end
  end
  local at = type(column) == "string" and column:find(separator, 2, true)
  if not at or at + #separator > #column then
    refuse("csv", "field 'columns'[%d]: a name and a type expected, as {'id', 'bigint'}: "
      .. "CSV is text", i)
  end
  return column, column:sub(1, at - 1), column:sub(at + #separator)
end

local function typed_columns(given)
  check_list("csv", given.columns)
  local list, names, words = {}, {}, {}
  for i, column in ipairs(given.columns) do
    list[i], names[i], words[i] = typed_column(i, column, given.separator or "|")
  end
  return core.array(list), names, words
end

--- Reader of a folder of CSV files. The published pages differ on the delimiter's key and show
--- no column: `delimiter_key` (default "delimiter") and `separator` (default "|", between name and
--- type) change what is sent.
---@param given table path, columns ({name, type} each; a text "name|type" is sent unchecked),
---  header, delimiter, delimiter_key, separator
---@return table config
function M.csv(given)
  options.check("lindorm.csv", given, CSV_SCHEMA, "field")
  check_folder("csv", given.path)
  local columns, names, words = typed_columns(given)
  local config = { filePath = given.path, column = columns, header = given.header }
  if given.delimiter then config[given.delimiter_key or "delimiter"] = given.delimiter end
  return keep(config, "CSV", names, words)
end

local ODPS_SCHEMA = {
  table = "!text", columns = "!table", partition = "string|table", partitions = "count",
}

--- Reader of a MaxCompute (ODPS) table. The JSON type of `partition` is not published: a text
--- goes out in an array, an empty one (no partitions) and a table as they are.
---@param given table table, columns, partition ("pt=1"), partitions (read parallelism)
---@return table config
function M.odps(given)
  options.check("lindorm.odps", given, ODPS_SCHEMA, "field")
  local partition = given.partition
  if type(partition) == "string" and partition ~= "" then
    partition = core.array { partition }
  end
  local names = read_columns("odps", nil, given.columns)
  return keep({
    table = given.table, column = names, partition = partition,
    numPartitions = given.partitions,
  }, nil, names)
end

-- ---- writer ----------------------------------------------------------------

local TABLE_SCHEMA = {
  namespace = "text", table = "!text", columns = "table", compression = "text",
  timestamp = "text|integer", from = "table", row = "text", family = "text",
}

local function hbase_type(i, word)
  if not types.hbase(word) then
    refuse("table", "field 'columns'[%d]: no type '%s'; known: %s", i, tostring(word),
      types.known "HBase")
  end
  return word
end

-- {row = true, type = "String"} or {family = "f", name = "x", type = "Int"}
local function hbase_column(i, column, family)
  local word = hbase_type(i, column.type)
  if column.row then return "ROW||" .. word end
  if type(column.name) ~= "string" or column.name == "" then
    refuse("table", "field 'columns'[%d]: a name expected", i)
  end
  return ("%s:%s||%s"):format(column.family or family or "f", column.name, word)
end

local function table_column(i, column, family)
  if type(column) == "table" then return hbase_column(i, column, family), true end
  if type(column) ~= "string" or column == "" then
    refuse("table", "field 'columns'[%d]: a name, or a table with family, name and type", i)
  end
  local word = column:match "||(.*)$"
  if word then hbase_type(i, word) end
  return column, word ~= nil
end

local function table_columns(given)
  check_list("table", given.columns)
  local list, hbase = {}, nil
  for i, column in ipairs(given.columns) do
    local text, is_hbase = table_column(i, column, given.family)
    if hbase ~= nil and hbase ~= is_hbase then
      refuse("table", "field 'columns': SQL columns (names) and HBase columns "
        .. "(family:name||Type) in one table")
    end
    hbase, list[i] = is_hbase, text
  end
  if given.family and not hbase then
    refuse("table", "field 'family': columns that are only names are those of a SQL table")
  end
  return core.array(list)
end

-- A cell for each column of the reader, by the maps.
local function derived_cell(given, made, i, name)
  local word = made.types[i] and types.becomes(made.kind, made.types[i])
  if not word then
    refuse("table", "field 'from': the column '%s' has %s; give 'columns'", name,
      word == false and "a type that HBase-compatible tables lack: " .. made.types[i]
      or "no type that is known")
  end
  if name == given.row then return "ROW||" .. word end
  return ("%s:%s||%s"):format(given.family or "f", name, word)
end

local function derived_columns(given)
  local made = built[given.from]
  if not made or made.writer then
    refuse("table", "field 'from': a reader made by lindorm.csv, .parquet, .orc or .odps expected")
  end
  if given.family and not given.row then
    refuse("table", "field 'family': goes with 'row', the name of the row key's column")
  end
  local list, has_row = {}, false
  for i, name in ipairs(made.names) do
    has_row = has_row or name == given.row
    list[i] = given.row and derived_cell(given, made, i, name) or name
  end
  if given.row and not has_row then
    refuse("table", "field 'row': the reader has no column '%s'", given.row)
  end
  return core.array(list)
end

local function check_writer(given)
  options.check("lindorm.table", given, TABLE_SCHEMA, "field")
  local compression = given.compression
  if compression and compression ~= "zstd" and compression ~= "none" then
    refuse("table", "field 'compression': zstd or none, not '%s'", compression)
  end
  if (given.columns == nil) == (given.from == nil) then
    refuse("table", "either field 'columns' or field 'from' (a reader) is needed, not both")
  end
  if given.row and given.columns then
    refuse("table", "field 'row': goes with 'from'; in 'columns' the row key is "
      .. "{ row = true, type = 'String' }")
  end
end

--- Writer into a LindormTable: plain names for a SQL table, or for an HBase-compatible one
--- `{row = true, type = "String"}` and `{family = "f", name = "x", type = "Int"}`. With `from`, a
--- reader made here, the columns are the reader's: names for a SQL table or, with `row` (the name
--- of the row key's column) and `family` ("f"), cells with the types of the published maps.
---@param given table table, columns or from, row, family, namespace ("default"), compression
---  ("zstd" or "none"), timestamp
---@return table config
function M.table(given)
  check_writer(given)
  local columns = given.columns and table_columns(given) or derived_columns(given)
  local config = {
    namespace = given.namespace or "default", lindormTable = given.table,
    columns = columns, compression = given.compression or "zstd", timestamp = given.timestamp,
  }
  built[config] = { writer = true }
  return config
end

-- ---- both together ---------------------------------------------------------

local function type_complaint(from, i, column)
  local word, source = column:match "||(.*)$", from.types[i]
  if not word or not source or not from.kind then return nil end
  local becomes = types.becomes(from.kind, source)
  if becomes == nil or becomes and becomes:lower() == word:lower() then return nil end
  return ("column %d: %s of %s becomes %s in an HBase-compatible table, not %s"):format(i, source,
    from.kind, becomes or "nothing", word)
end

--- Whether one was made by a builder of the other: what is wrong with it, or nil.
---@param reader any
---@param writer any
---@return string|nil
---@private
function M.swapped(reader, writer)
  local from, to = built[reader], built[writer]
  if from and from.writer then return "the reader was made by a builder of writers" end
  if to and not to.writer then return "the writer was made by a builder of readers" end
end

--- What does not fit between a reader and a writer that were made here, or nil.
---@param reader any
---@param writer any
---@return string|nil
---@private
function M.mismatch(reader, writer)
  local swapped = M.swapped(reader, writer)
  if swapped then return swapped end
  local from, to = built[reader], built[writer]
  if not from or not to then return nil end
  local columns, cells = reader.column, writer.columns -- as they are now, whoever changed them
  if type(columns) ~= "table" or type(cells) ~= "table" then return nil end
  if #columns ~= #cells then
    return ("the reader has %d columns, the writer %d; they pair by position"):format(#columns,
      #cells)
  end
  for i, column in ipairs(cells) do
    local complaint = from.kind ~= "CSV" and type_complaint(from, i, tostring(column))
    if complaint then return complaint end
  end
end

return M
