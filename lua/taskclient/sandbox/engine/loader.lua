-- The inside of one bulk load: reads the files under a source's folder, checks each row against
-- the column types, writes them into the table, in batches that carry the place reached, so that
-- a retry goes on there. Reports lines of tab-separated words: stage, job, rows, failed.

local cjson = require "cjson"
local csv = require "taskclient.sandbox.engine.csv"
local store = require "taskclient.sandbox.store"
local types = require "taskclient.sandbox.engine.types"
local uv = require "luv"

local M = {}

local BATCH = 500 -- rows of one INSERT
local COMMIT = 5000 -- rows of one transaction

local function report(...)
  io.write(table.concat({ ... }, "\t"), "\n")
  io.flush()
end

local function fail(message, ...) error({ failure = message:format(...) }) end

-- Names -------------------------------------------------------------------------------------------

local function identifier(name) return '"' .. name:gsub('"', '""') .. '"' end

-- "name|type" of a CSV reader, or a plain name.
local function reader_column(text)
  local name, kind = text:match("^(.-)|([^|]+)$")
  if not name then return { name = text } end
  local found = types.find(kind) or fail("column '%s' of readerConfig has an unknown type", text)
  return { name = name, type = found, word = kind }
end

-- "ROW||String", "f:name||Long", or the plain name of a SQL column.
local function writer_column(text)
  local name, kind = text:match("^(.-)||(.+)$")
  if not name then return { name = text } end
  local found = types.find(kind) or fail("column '%s' of writerConfig has an unknown type", text)
  return { name = name, type = found, word = kind, key = name:upper() == "ROW" }
end

-- A declared table of start{lindorm = {tables = …}}: "ROW||String" or "name TYPE [PRIMARY KEY]".
local function declared_column(text)
  local column = writer_column(text)
  if column.type then return column end
  local name, kind = text:match("^%s*(%S+)%s+(%a+[^%s]*)")
  if not name then fail("column '%s' of a declared table has no type", text) end
  local found = types.find(kind)
    or fail("column '%s' of a declared table has an unknown type", text)
  return { name = name, type = found, word = kind,
    key = text:upper():find("PRIMARY KEY", 1, true) ~= nil }
end

local function map(list, convert)
  if type(list) ~= "table" then fail "columns must be a list" end
  local out = {}
  for i, item in ipairs(list) do out[i] = convert(tostring(item)) end
  return out
end

-- Schema ------------------------------------------------------------------------------------------

local function create_table(db, name, columns)
  local parts, keys = {}, {}
  for i, column in ipairs(columns) do
    parts[i] = identifier(column.name) .. " " .. (column.type or types.text).declared
    if column.key then keys[#keys + 1] = identifier(column.name) end
  end
  if #keys > 0 then parts[#parts + 1] = "PRIMARY KEY (" .. table.concat(keys, ", ") .. ")" end
  db:run(("CREATE TABLE IF NOT EXISTS %s (%s)"):format(identifier(name), table.concat(parts, ", ")))
end

local function table_columns(db, name)
  local columns = {}
  for _, row in ipairs(db:rows(("PRAGMA table_info(%s)"):format(identifier(name)))) do
    columns[row.name] = { type = types.find(row.type or ""), key = row.pk > 0, word = row.type }
  end
  return columns
end

-- The column of the table that each column of the configuration goes to, with what checks its
-- values.
local function match_columns(existing, name, readers, writers)
  if #readers ~= #writers then
    fail("readerConfig names %d columns, writerConfig %d", #readers, #writers)
  end
  local out = {}
  for i, writer in ipairs(writers) do
    local there = existing[writer.name] or fail("table %s has no column %s", name, writer.name)
    out[i] = {
      name = writer.name, key = there.key or writer.key, source = readers[i].name,
      check = readers[i].type, type = writer.type or there.type or readers[i].type or types.text,
      word = writer.word or there.word or readers[i].word or "String", check_word = readers[i].word,
    }
  end
  return out
end

local function prepare_schema(order, db)
  local name = order.table
  local readers, writers = map(order.reader.column or {}, reader_column),
    map(order.writer.columns or {}, writer_column)
  if #readers == 0 then fail "readerConfig names no column" end
  local declared = order.tables[name]
  if declared then create_table(db, name, map(declared, declared_column)) end
  local existing = table_columns(db, name)
  if not next(existing) then
    if not order.create_tables then fail("table %s does not exist", name) end
    for i, column in ipairs(writers) do column.type = column.type or (readers[i] or {}).type end
    create_table(db, name, writers)
    existing = table_columns(db, name)
  end
  return match_columns(existing, name, readers, writers)
end

-- Files -------------------------------------------------------------------------------------------

local function files_under(order)
  if order.reader.table then
    fail("the sandbox reads files, not the MaxCompute table %s", tostring(order.reader.table))
  end
  local path = tostring(order.reader.filePath or "")
  if path:find("..", 1, true) then fail("filePath %s leaves the source", path) end
  local folder = (order.folder .. "/" .. path):gsub("/+$", "")
  local stat = uv.fs_stat(folder)
  if not stat then fail("filePath %s does not exist in source %s", path, order.source) end
  if stat.type ~= "directory" then fail("filePath %s is a file, not a directory", path) end
  local files = {}
  local scan = uv.fs_scandir(folder)
  while true do
    local name, kind = uv.fs_scandir_next(scan)
    if not name then break end
    if kind ~= "directory" and not name:find("^[._]") then
      files[#files + 1] = { name = name, path = folder .. "/" .. name }
    end
  end
  table.sort(files, function(a, b) return a.name < b.name end)
  if #files == 0 then fail("filePath %s of source %s holds no file", path, order.source) end
  return files
end

-- Parquet and ORC are read by Python's pyarrow, which hands us CSV with every value in quotes.
local function columnar(order, file, names)
  local command = "python3"
  for _, word in ipairs { order.scripts .. "columnar.py", order.file_type, file.path,
    table.unpack(names) } do
    command = command .. " '" .. word:gsub("'", "'\\''") .. "'"
  end
  local pipe = io.popen(command, "r")
  local first = pipe:read(1)
  if first == "!" then
    local reason = pipe:read("a")
    pipe:close()
    fail("%s: %s", file.name, (reason:gsub("%s+$", "")))
  end
  local held = first
  return function(bytes)
    if held then
      local piece = held .. (pipe:read(bytes) or "")
      held = nil
      return piece
    end
    return pipe:read(bytes)
  end, pipe
end

local function open_file(order, file, columns)
  local kind = order.file_type:lower()
  if kind == "" or kind == "csv" then
    local handle = io.open(file.path, "rb") or fail("%s cannot be read", file.name)
    return function(bytes) return handle:read(bytes) end, handle, true
  end
  if kind ~= "parquet" and kind ~= "orc" then
    fail("fileType %s is not supported", order.file_type)
  end
  local names = map(columns, function(column) return column end)
  return columnar(order, file, names)
end

local escapes = { ["\\t"] = "\t", ["\\001"] = "\1", ["\\u0001"] = "\1" }

local function delimiter_of(reader)
  local text = reader.delimite or reader.delimiter or ","
  text = escapes[text] or text
  if type(text) ~= "string" or text == "" then
    fail "the delimiter of readerConfig must be a text"
  end
  return text
end

-- Where each column stands in the file: by the header's names when it has them all, else by
-- position.
local function places(header, columns)
  local at, out = {}, {}
  for i, name in ipairs(header or {}) do at[(tostring(name):gsub("^\u{FEFF}", ""))] = i end
  for i, column in ipairs(columns) do
    out[i] = at[column.source]
    if not out[i] then return nil end
  end
  return out
end

-- Rows --------------------------------------------------------------------------------------------

local function bad_row(file, reader, text, ...)
  fail("%s, line %d: %s", file.name, reader.line, text:format(...))
end

local function bad_value(file, reader, name, value, word)
  bad_row(file, reader, "column %s: '%s' is no %s", name, value:sub(1, 80), word)
end

local function literal(column, value, file, reader)
  if value == nil then
    if column.key then bad_row(file, reader, "the row key %s is empty", column.name) end
    return "NULL"
  end
  if column.check and column.check ~= column.type and not column.check.literal(value) then
    bad_value(file, reader, column.source, value, column.check_word)
  end
  return column.type.literal(value) or bad_value(file, reader, column.source, value, column.word)
end

local Load = {}
Load.__index = Load

-- Where an earlier attempt had come to: file, row in it, rows in all.
function Load:place()
  local sql = "SELECT file, row, rows FROM taskclient_load WHERE load = ?"
  return self.db:row(sql, self.order.id)
end

-- Writes what waits, with the place reached, as one transaction.
function Load:commit(file_name, row)
  local db = self.db
  db:transaction(function()
    for _, values in ipairs(self.batches) do db:run(self.insert .. values) end
    db:run("INSERT OR REPLACE INTO taskclient_load(load, file, row, rows) VALUES(?, ?, ?, ?)",
      self.order.id, file_name, row, self.rows)
  end)
  self.batches, self.pending = {}, 0
  report("rows", self.rows)
  self:pace()
end

function Load:pace()
  local rate = self.order.rows_per_second
  if rate <= 0 then return end
  local due = self.began + (self.rows - self.first) / rate * 1e3
  local wait = due - uv.hrtime() / 1e6
  if wait > 0 then uv.sleep(math.floor(wait)) end
end

local function collect(load, values, flush)
  if values then load.values[#load.values + 1] = values end
  if #load.values >= BATCH or (flush and #load.values > 0) then
    load.batches[#load.batches + 1] = table.concat(load.values, ",")
    load.values = {}
  end
end

function Load:file(file, skip)
  local order, columns = self.order, self.columns
  local sources = {}
  for i, column in ipairs(columns) do sources[i] = column.source end
  local read, handle, is_csv = open_file(order, file, sources)
  local reader = csv.open(read, is_csv and delimiter_of(order.reader) or ",")
  local fields, row, place = {}, 0, nil
  local width, parts = #columns, {}
  local expected = width
  if is_csv and tostring(order.reader.header) == "true" then
    local header = {}
    local n = reader:next(header)
    place = n and places(header, columns)
    expected = place and n or width
  end
  while true do
    local n = reader:next(fields)
    if not n then break end
    row = row + 1
    if row > skip then
      if n ~= expected then bad_row(file, reader, "%d fields, %d expected", n, expected) end
      for i = 1, width do
        parts[i] = literal(columns[i], fields[place and place[i] or i], file, reader)
      end
      collect(self, "(" .. table.concat(parts, ",", 1, width) .. ")")
      self.rows, self.pending = self.rows + 1, self.pending + 1
      if self.pending >= self.commit_rows then
        collect(self, nil, true)
        self:commit(file.name, row)
      end
    end
  end
  if not handle:close() then fail("%s cannot be read to its end", file.name) end
  collect(self, nil, true)
  if self.pending > 0 or skip == 0 then self:commit(file.name, row) end
end

-- What is good before the bad row stays, as in a real load that ends half-way.
function Load:file_or_fail(file, skip)
  local ok, reason = pcall(self.file, self, file, skip)
  if ok then return end
  if type(reason) ~= "table" then reason = { failure = file.name .. ": " .. tostring(reason) } end
  collect(self, nil, true)
  if self.pending > 0 then
    local place = self:place()
    local from = place and place.file == file.name and place.row or skip
    self:commit(file.name, from + self.pending)
  end
  error(reason, 0)
end

-- Files go in the order of their names, so a retry knows by the name what is behind it, though
-- the bad file may have been taken away meanwhile.
function Load:run(files)
  local place = self:place()
  self.rows = place and place.rows or 0
  self.first, self.began = self.rows, uv.hrtime() / 1e6
  for _, file in ipairs(files) do
    if not place or file.name >= place.file then
      report("job", "full", file.name, "RUNNING")
      self:file_or_fail(file, place and file.name == place.file and place.row or 0)
    end
    report("job", "full", file.name, "SUCCEEDED")
  end
end

local function insert_text(name, columns)
  local names = {}
  for i, column in ipairs(columns) do names[i] = identifier(column.name) end
  return ("INSERT OR REPLACE INTO %s(%s) VALUES "):format(identifier(name),
    table.concat(names, ","))
end

local function stage(order, name)
  report("stage", name)
  if order.stage_delay > 0 then uv.sleep(math.floor(order.stage_delay * 1000)) end
end

local function run(order)
  order.reader, order.writer = cjson.decode(order.reader), cjson.decode(order.writer)
  local writer = order.writer
  order.table = ("%s.%s"):format(writer.namespace or "default", writer.lindormTable or "")
  if not order.folder then fail("source %s has no folder", order.source) end
  local db = store.open(order.database)
  db:run [[CREATE TABLE IF NOT EXISTS taskclient_load(
    load INTEGER PRIMARY KEY, file TEXT, row INTEGER, rows INTEGER)]]
  stage(order, "SCHEMA")
  report("job", "schema", order.table, "RUNNING")
  local files = files_under(order)
  local columns = prepare_schema(order, db)
  report("job", "schema", order.table, "SUCCEEDED")
  for _, file in ipairs(files) do report("job", "full", file.name, "WAITING") end
  stage(order, "FULL")
  local rate = order.rows_per_second
  local load = setmetatable({
    order = order, db = db, columns = columns, insert = insert_text(order.table, columns),
    rows = 0, pending = 0, batches = {}, values = {},
    commit_rows = rate > 0 and math.max(1, math.min(COMMIT, rate // 20)) or COMMIT,
  }, Load)
  load:run(files)
  stage(order, "MERGE")
  report("job", "merge", order.table, "RUNNING")
  report("job", "merge", order.table, "SUCCEEDED")
  stage(order, "WAIT_FOR_SUCCESS")
  db:run("DELETE FROM taskclient_load WHERE load = ?", order.id)
end

---Runs a load; the process ends with 0 or, after a "failed" line, with 1.
---@param order table what loads.lua's order_of makes
function M.main(order)
  local ok, reason = xpcall(run, function(reason)
    return type(reason) == "table" and reason or { failure = debug.traceback(tostring(reason)) }
  end, order)
  if ok then os.exit(0) end
  report("failed", (reason.failure:gsub("[\t\n]", " ")))
  os.exit(1)
end

return M
