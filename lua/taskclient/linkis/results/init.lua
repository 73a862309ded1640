-- job:results(): the result sets of a job, their columns and rows. Rows are
-- complete whatever the server's paging fields claim, and NULL, empty and the
-- text NULL stay three things where the server can tell (protocols 3.12.1,
-- 3.12.2). Saving is save.lua's, the server's own export export.lua's.

local copy = require "taskclient.compat".copy
local core = require "taskclient.core"
local failure = require "taskclient.error"
local history = require "taskclient.linkis.history"
local options = require "taskclient.options"
local pages = require "taskclient.linkis.results.pages"
local text_table = require "taskclient.text.table"
local request = require "taskclient.rpc.request"

local M = {}

local CAP = 5000    -- rows: of a jdbc engine, of the LIMIT added for creator IDE
local PEEK = 20     -- rows looked at to learn about a set
local PROBE = "taskclient-null" -- a word for NULL that no result holds

local ROWS_SCHEMA = { page_size = "count", typed = "boolean", timeout = "duration" }

---@class taskclient.ResultSet
---@field name string the file's name without its ending: "_0", "1_0"
---@field alias string|nil what the engine put in front of the number
---@field number integer|nil
---@field path string where the server keeps it
---@field bytes integer|nil size of the file
local ResultSet = {}

-- Rows ------------------------------------------------------------------------------

---@class taskclient.RowCursor
local Rows = {}
Rows.__index = Rows

local function next_page(self)
  local page, err = self.pages:next(function(facts)
    self.rs:learn(facts)
    local page, why = pages.table_of(facts, self.opts)
    if not page then return nil, why end
    return page, page.n
  end)
  if not page then
    if not err then rawset(self.rs, "total", self.given) end
    return nil, err
  end
  self.page, self.at = page, 0
  return true
end

--- The next row; nil at the end; `nil, err` on failure, after which reading may
--- go on.
---@return table|nil row
---@return table|nil err
function Rows:read()
  while true do
    local row = self.page and self.page.rows[self.at + 1]
    if row then
      self.at, self.given = self.at + 1, self.given + 1
      return row
    end
    local ok, err = next_page(self)
    if not ok then return nil, err end
  end
end

--- Ends the cursor; a page that is on its way is given up.
function Rows:close()
  self.pages:close()
  self.page = nil
end

Rows.__close = Rows.close

function Rows:__call()
  local row, err = self:read()
  if err then error(err, 0) end
  return row
end

function Rows:__tostring()
  return ("rows of %s (%d read)"):format(tostring(self.rs), self.given)
end

local function open_rows(rs, opts, records)
  return setmetatable({
    rs = rs, pages = pages.open(rs, opts), given = 0,
    opts = { typed = opts.typed, records = records },
  }, Rows)
end

--- A cursor over the rows as arrays of cells. Cells are texts; SQL NULL is
--- `taskclient.null`.
---@param opts table|nil page_size: rows asked for at once (5000; at most 100000); typed: integers
---  (exact to 64 bits), doubles and booleans as such; timeout: seconds for the whole; whoever reads
---  on after an err of kind timeout has as many once more
---@return taskclient.RowCursor
function ResultSet:rows(opts)
  return open_rows(self, options.check("rows", opts, ROWS_SCHEMA))
end

--- As `rows`, each row a table keyed by column name (the second `a` is `a_2`).
---@param opts table|nil as for `rows`
---@return taskclient.RowCursor
function ResultSet:records(opts)
  return open_rows(self, options.check("records", opts, ROWS_SCHEMA), true)
end

-- What is known of a set --------------------------------------------------------------

--- Takes over what any page tells of its set.
---@private
---@param facts table
function ResultSet:learn(facts)
  if facts.type ~= nil then rawset(self, "kind", pages.type_of(facts.type)) end
  if facts.totalColumn ~= nil then core.fields(self.client).null_exact = true end
end

local function first_rows(self, null)
  local _, data, err = request.send(self.client, "openFile",
    { path = self.path, page = 1, pageSize = PEEK, nullValue = null })
  return data, err
end

local function cells_of(data)
  local cells = {}
  for _, row in ipairs(type(data.fileContent) == "table" and data.fileContent or {}) do
    for _, cell in ipairs(type(row) == "table" and row or {}) do cells[#cells + 1] = cell end
  end
  return cells
end

local function text_or_nil(value) return type(value) == "string" and value or nil end

-- The columns, with names for those that have none, as the core's pages have them.
local function columns_of(metadata)
  local columns = {}
  for i, column in ipairs(type(metadata) == "table" and metadata or {}) do
    if type(column) ~= "table" then break end
    columns[i] = { name = text_or_nil(column.columnName) or "column_" .. i,
      type = text_or_nil(column.dataType), comment = text_or_nil(column.comment) }
  end
  return columns
end

--- Looks at the first rows, so that `type` and `columns` are known without
--- another request.
---@private
---@return boolean|nil ok
---@return table|nil err
function ResultSet:peek()
  if rawget(self, "head") then return true end
  local rows = pages.open(self, { page_size = PEEK, once = true })
  local page, err = rows:next(function(facts)
    self:learn(facts)
    local data, why
    if facts.calls then
      local whole
      whole, why = pages.table_of(facts)
      data = whole and { columns = whole.columns }
    else
      data, why = core.decode(facts.call:body())
      data = data and data.data
      if data and type(data) ~= "table" then
        data, why = nil, failure.new("protocol", "the reply holds no result page",
          { operation = "openFile", retryable = false })
      end
      data = data and { columns = columns_of(data.metadata), cells = cells_of(data) }
    end
    if not data then return nil, why end
    return data, 0
  end)
  if not page then return nil, err end
  rawset(self, "head", page)
  return true
end

--- The columns: `{name=, type=, comment=}`; none for texts.
---@return table[]|nil columns
---@return table|nil err
function ResultSet:columns()
  local ok, err = self:peek()
  if not ok then return nil, err end
  return copy(self.head.columns)
end

-- Whether a server that sends no sign of it understands nullValue: another word
-- changes the cells that are empty or read NULL (protocols 3.12.2).
local function probe_null(self, cells)
  local suspect = {}
  for i, cell in ipairs(cells) do
    if cell == core.null then return true end
    if cell == "NULL" or cell == "" then suspect[#suspect + 1] = i end
  end
  if #suspect == 0 then return nil end
  local data, err = first_rows(self, PROBE)
  if not data then return nil, err end
  local probed = cells_of(data)
  for _, i in ipairs(suspect) do
    if probed[i] == PROBE then return true end
  end
  return false
end

--- What the set is: "table", "text", "html", "picture", "io". Asks the server when no page of it
--- has come yet.
---@return string|nil
---@return table|nil err
function ResultSet:type()
  local ok, err = true, nil
  if not rawget(self, "kind") then ok, err = self:peek() end
  if not rawget(self, "kind") and not ok then return nil, err end
  return rawget(self, "kind")
end

--- Whether NULL and the text NULL can be told apart. May ask the server.
---@return boolean|nil
---@return table|nil err
function ResultSet:null_exact()
  local fields = core.fields(self.client)
  if fields.null_exact == nil then
    local ok, err = self:peek()
    if not ok then return nil, err end
    if fields.null_exact == nil and self:type() ~= "table" then return true end
    if fields.null_exact == nil then
      fields.null_exact, err = probe_null(self, self.head.cells or {})
      if err then return nil, err end
    end
  end
  return fields.null_exact or false
end

local IDE = { I = true, D = true, E = true, ID = true, DE = true, IDE = true }

-- Why a set may end at CAP rows, or nil.
local function limited(record)
  local engine = history.text(record.executeApplicationName) or history.text(record.engineType)
  if engine and engine:lower():match "^jdbc" then return "engine" end
  if IDE[record.requestApplicationName] then return "creator" end
end

--- Whether the set ends at a row limit of the server's, so that rows may be missing. May ask.
---@return boolean|nil
---@return table|nil err
function ResultSet:capped()
  if not limited(self.record) then return false end
  local total, err = rawget(self, "total"), nil
  if not total then total, err = self:count() end
  if not total then return nil, err end
  return total == CAP
end

-- Text, count, printing ----------------------------------------------------------------

local function count_pages(self)
  local rows, total = pages.open(self), 0
  while true do
    local n, err = rows:next(function(facts)
      local page, why = pages.table_of(facts)
      return page and page.n, page and page.n or why
    end)
    if not n then return not err and total or nil, err end
    total = total + n
  end
end

-- failures of the server's own count that reading the rows may not share
local NOT_COUNTED = { service = true, http = true, protocol = true, unsupported = true }

--- The number of rows, counted by the server; by reading them where it cannot.
---@return integer|nil
---@return table|nil err
function ResultSet:count()
  local _, data, err = request.send(self.client, "fileInfo", { path = self.path, pageSize = -1 })
  local n = data and tonumber(data.rowNumber)
  if not n and (data or NOT_COUNTED[err.kind]) then n, err = count_pages(self) end
  if n then rawset(self, "total", n) end
  return n, err
end

--- The whole text of a text, HTML or picture set, its lines joined by newlines.
---@param opts table|nil page_size, timeout
---@return string|nil
---@return table|nil err
function ResultSet:text(opts)
  local ok, err = self:peek()
  if not ok then return nil, err end
  if self:type() == "table" then
    return nil, failure.new("unsupported", "a table has no text; read rows() or save it",
      { operation = "text", job_id = self.job.id, retryable = false })
  end
  local lines, rows = {}, self:rows(opts)
  while true do
    local row
    row, err = rows:read()
    if not row then break end
    if row[2] ~= nil then
      rows:close()
      return nil, failure.new("protocol", "a text set has a row of several cells",
        { operation = "text", job_id = self.job.id, retryable = false })
    end
    lines[#lines + 1] = row[1] ~= core.null and row[1] or ""
  end
  if err then return nil, err end
  return table.concat(lines, "\n")
end

--- Prints the first rows as an aligned table, for people.
---@param n integer|nil rows, default 20
---@return boolean|nil ok
---@return table|nil err
function ResultSet:print(n)
  options.argument("print", "n", n or 1, "count")
  n = n or 20
  local columns, err = self:columns()
  if not columns then return nil, err end
  local list, rows = {}, self:rows { page_size = n }
  while #list < n do
    local row
    row, err = rows:read()
    if not row then break end
    list[#list + 1] = row
  end
  rows:close()
  if err then return nil, err end
  print(text_table.table(list, columns))
  return true
end

--- Writes all rows to a file, which is whole or not there. A table becomes CSV (RFC 4180), TSV
--- or JSON Lines, by `format` or the path's ending; a text, HTML or picture set is saved as it is,
--- unless `format` asks for one column of its lines.
---@param path string
---@param opts table|nil format ("csv", "tsv", "jsonl"), separator, quote ("minimal", "all"), null
---  (the word for NULL), bom, header, eol ("\r\n" for csv), overwrite (false: an existing file
---  is an error), typed (JSON Lines: numbers and booleans bare), page_size, timeout, durable (the
---  file is synced before it gets its name; default: in plain scripts)
---@return integer|nil rows
---@return integer|table bytes_or_err
function ResultSet:save(path, opts)
  return require("taskclient.linkis.results.save").save(self, path, opts)
end

--- Has the server write its own CSV or XLSX. Its CSV escapes nothing and writes empty cells as
--- NULL: `rs:save` writes a file that can be read back.
---@param path string
---@param opts table|nil format ("csv", "xlsx"; else by the path's ending), limit (rows; default
---  all), separator, null ("LINKIS_NULL", "BLANK" or any word), quote, keep_newlines, charset,
---  name, sheet, auto_format, masked, overwrite, check (false: rows are not counted), timeout,
---  durable (the file is synced before it gets its name; default: in plain scripts)
---@return integer|nil bytes
---@return table|nil err
function ResultSet:export(path, opts)
  return require("taskclient.linkis.results.export").set(self, path, opts)
end

ResultSet.__index = ResultSet

ResultSet.__tostring = function(self)
  local kind, head = rawget(self, "kind"), rawget(self, "head")
  local parts = { kind }
  if kind == "table" and head then
    parts[2] = #head.columns .. (#head.columns == 1 and " column" or " columns")
  end
  local tail = #parts > 0 and " (" .. table.concat(parts, ", ") .. ")" or ""
  return ("result set %s%s"):format(core.clean(self.name, 200, "line"), tail)
end

-- The list -------------------------------------------------------------------------------

local function new_set(job, record, child)
  local stem = child.name:gsub("%.dolphin$", "")
  local alias, number = stem:match "^(.*)_(%d+)$"
  local properties = type(child.properties) == "table" and child.properties or {}
  return setmetatable({
    job = job, client = job.client, record = record, name = stem, path = child.path,
    alias = alias ~= "" and alias or nil, number = tonumber(number),
    bytes = tonumber(properties.size), modified = tonumber(properties.modifytime),
  }, ResultSet)
end

local function is_result(child)
  return type(child) == "table" and type(child.name) == "string" and history.path(child.path)
    and child.isLeaf ~= false and child.name:find "%.dolphin$" ~= nil
end

local function by_number(a, b)
  if a.number ~= b.number then return (a.number or math.huge) < (b.number or math.huge) end
  return a.name < b.name
end

--- The result sets of a job that has ended, in their order; also those that a
--- failed job has left. A job without results has an empty list.
---@param job userdata
---@return taskclient.ResultSet[]|nil
---@return table|nil err
function M.list(job)
  local record, path = history.place(job)
  if not record then return nil, path end
  local sets = setmetatable({}, core.array_mt)
  if not path then return sets end
  local _, data, err = request.send(job.client, "getDirFileTrees", { path = path })
  if not data then
    err.job_id, err.path = job.id, path
    return nil, err
  end
  local tree = data.dirFileTrees
  for _, child in ipairs(type(tree) == "table" and type(tree.children) == "table"
    and tree.children or {}) do
    if is_result(child) then sets[#sets + 1] = new_set(job, record, child) end
  end
  table.sort(sets, by_number)
  return sets
end

return M
