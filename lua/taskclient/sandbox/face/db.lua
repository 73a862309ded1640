-- The sandbox's SQLite file, by LuaJIT's FFI: bound parameters, statements kept.
-- Knows SQL text and Lua values; nothing of tasks.

local ffi = require "ffi"

ffi.cdef [[
typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;
int sqlite3_open_v2(const char *name, sqlite3 **db, int flags, const char *vfs);
const char *sqlite3_errmsg(sqlite3 *);
int sqlite3_exec(sqlite3 *, const char *sql, void *, void *, char **);
int sqlite3_prepare_v2(sqlite3 *, const char *sql, int n, sqlite3_stmt **, const char **tail);
int sqlite3_bind_int64(sqlite3_stmt *, int, int64_t);
int sqlite3_bind_double(sqlite3_stmt *, int, double);
int sqlite3_bind_text(sqlite3_stmt *, int, const char *, int, intptr_t);
int sqlite3_bind_null(sqlite3_stmt *, int);
int sqlite3_step(sqlite3_stmt *);
int sqlite3_reset(sqlite3_stmt *);
int sqlite3_column_count(sqlite3_stmt *);
int sqlite3_column_type(sqlite3_stmt *, int);
const char *sqlite3_column_name(sqlite3_stmt *, int);
int64_t sqlite3_column_int64(sqlite3_stmt *, int);
double sqlite3_column_double(sqlite3_stmt *, int);
const unsigned char *sqlite3_column_text(sqlite3_stmt *, int);
int sqlite3_column_bytes(sqlite3_stmt *, int);
int64_t sqlite3_last_insert_rowid(sqlite3 *);
int sqlite3_changes(sqlite3 *);
]]

local function load_library()
  for _, name in ipairs { "libsqlite3.so.0", "sqlite3", "libsqlite3.0.dylib" } do
    local ok, lib = pcall(ffi.load, name)
    if ok then return lib end
  end
  error("the sandbox needs the SQLite library (Debian: libsqlite3-0)")
end

local lib = load_library()
local ROW, DONE, READWRITE_CREATE, TRANSIENT = 100, 101, 6, -1
local INTEGER, FLOAT, NULL = 1, 2, 5

local M = {}
local db, statements

local function check(code, wanted)
  if code ~= (wanted or 0) then error("sqlite: " .. ffi.string(lib.sqlite3_errmsg(db)), 0) end
end

---Opens the file once per worker.
---@param path string
---@param schema table schema.lua
function M.open(path, schema)
  local handle = ffi.new("sqlite3 *[1]")
  if lib.sqlite3_open_v2(path, handle, READWRITE_CREATE, nil) ~= 0 then
    error("cannot open " .. path)
  end
  db, statements = handle[0], {}
  for _, list in ipairs { schema.pragmas, schema.ddl } do
    for _, sql in ipairs(list) do check(lib.sqlite3_exec(db, sql, nil, nil, nil)) end
  end
end

local function prepare(sql)
  local statement = statements[sql]
  if not statement then
    local out = ffi.new("sqlite3_stmt *[1]")
    check(lib.sqlite3_prepare_v2(db, sql, #sql, out, nil))
    statement = out[0]
    statements[sql] = statement
  end
  return statement
end

local function bind(statement, at, value)
  if value == nil then check(lib.sqlite3_bind_null(statement, at))
  elseif type(value) == "number" then
    if value % 1 == 0 then check(lib.sqlite3_bind_int64(statement, at, value))
    else check(lib.sqlite3_bind_double(statement, at, value)) end
  else
    value = tostring(value)
    check(lib.sqlite3_bind_text(statement, at, value, #value, TRANSIENT))
  end
end

local function cell(statement, at)
  local kind = lib.sqlite3_column_type(statement, at)
  if kind == NULL then return nil end
  if kind == INTEGER then return tonumber(lib.sqlite3_column_int64(statement, at)) end
  if kind == FLOAT then return lib.sqlite3_column_double(statement, at) end
  local text = lib.sqlite3_column_text(statement, at)
  return ffi.string(text, lib.sqlite3_column_bytes(statement, at))
end

local function fetch(statement, names)
  local row = {}
  for i = 0, #names - 1 do row[names[i + 1]] = cell(statement, i) end
  return row
end

---Runs a statement.
---@return table rows each keyed by column name; NULL is nil
function M.rows(sql, ...)
  local statement = prepare(sql)
  for i = 1, select("#", ...) do bind(statement, i, (select(i, ...))) end
  local names, list = {}, {}
  for i = 0, lib.sqlite3_column_count(statement) - 1 do
    names[i + 1] = ffi.string(lib.sqlite3_column_name(statement, i))
  end
  local code = lib.sqlite3_step(statement)
  while code == ROW do
    list[#list + 1] = fetch(statement, names)
    code = lib.sqlite3_step(statement)
  end
  lib.sqlite3_reset(statement)
  check(code, DONE)
  return list
end

---The first row, or nil.
function M.row(...) return M.rows(...)[1] end

---Runs a statement that changes something.
---@return integer changed
---@return integer id of the row inserted last
function M.run(...)
  M.rows(...)
  return lib.sqlite3_changes(db), tonumber(lib.sqlite3_last_insert_rowid(db))
end

---Runs `fn` in one write transaction; an error rolls back and goes on.
function M.transaction(fn, ...)
  M.run "BEGIN IMMEDIATE"
  local ok, a, b = pcall(fn, ...)
  M.run(ok and "COMMIT" or "ROLLBACK")
  if not ok then error(a, 0) end
  return a, b
end

return M
