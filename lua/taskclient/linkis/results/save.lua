-- rs:save(): all rows of a result set in a file that is whole or not there.
-- Tables go page by page through the core's writer, so that memory is the same
-- for any size; texts, HTML and pictures are saved as what they are.

local copy = require "taskclient.compat".copy
local core = require "taskclient.core"
local each = require "taskclient.compat".each
local failure = require "taskclient.error"
local host = require "taskclient.host"
local options = require "taskclient.options"
local pages = require "taskclient.linkis.results.pages"

local M = {}

local SCHEMA = {
  format = "string", separator = "string", quote = "string", null = "string", bom = "boolean",
  header = "boolean", eol = "string", overwrite = "boolean", typed = "boolean",
  page_size = "count", timeout = "duration", durable = "boolean",
}
local FORMATS = { csv = "csv", tsv = "tsv", tab = "tsv", jsonl = "jsonl", ndjson = "jsonl" }

-- option -> what it must be like; the core's writer has the same rules
local RULES = {
  format = { "csv, tsv or jsonl", function(v) return FORMATS[v] ~= nil end },
  separator = { "one byte, no quote, no newline",
    function(v) return #v == 1 and not v:find '["\r\n]' end },
  quote = { "minimal or all", function(v) return v == "minimal" or v == "all" end },
  eol = { "\\n or \\r\\n", function(v) return v == "\n" or v == "\r\n" end },
  null = { "a short word without quote, tab, newline",
    function(v) return #v < 32 and not v:find '["\r\n\t]' end },
}

-- Tables -----------------------------------------------------------------------------

local function table_sink(path, opts, format)
  local writer, err = core.writer(path, {
    format = format, separator = opts.separator, quote = opts.quote, null = opts.null,
    bom = opts.bom, header = opts.header, eol = opts.eol, overwrite = opts.overwrite,
    typed = opts.typed, durable = opts.durable,
  })
  if not writer then return nil, err end
  local sink = {}
  function sink.page(facts)
    local n, why = pages.write(facts, writer)
    return n, n or why
  end
  function sink.commit()
    local bytes, rows = writer:commit()
    if not bytes then return nil, rows end
    return rows, bytes
  end
  function sink.discard() writer:discard() end
  return sink
end

-- Texts and pictures --------------------------------------------------------------------

local function text_sink(path, opts)
  local sink, err = table_sink(path, { overwrite = opts.overwrite, durable = opts.durable }, "text")
  if not sink then return nil, err end
  local write = sink.page
  function sink.page(facts)
    local n, why = write(facts)
    if not n and why.kind == "protocol" then
      why.hint = "the result set says that it is no table; format = \"jsonl\" or \"csv\" saves one "
        .. "column, rs:rows() has all cells"
    end
    return n, why
  end
  return sink
end

-- A picture is base64 and waits until it is complete.
local function picture_sink(path, opts)
  local writer, err = core.writer(path, { overwrite = opts.overwrite, durable = opts.durable })
  if not writer then return nil, err end
  local sink, rows, whole = {}, 0, {}
  function sink.page(facts)
    local page, why = pages.table_of(facts)
    if not page then return nil, why end
    for _, row in ipairs(page.rows) do
      whole[#whole + 1] = row[1] ~= core.null and tostring(row[1] or "") or ""
    end
    rows = rows + page.n
    return page.n, page.n
  end
  function sink.discard() writer:discard() end
  function sink.commit()
    local text = table.concat(whole, "\n")
    local ok, why = writer:write(core.unbase64((text:gsub("^data:[%w/+.-]*;base64,", ""))) or text)
    if ok then ok, why = writer:commit() end
    if ok then return rows, ok end
    writer:discard()
    return nil, why
  end
  return sink
end

-- Saving ------------------------------------------------------------------------------------

local function format_of(path, opts)
  if opts.format then return FORMATS[opts.format] end
  return FORMATS[(path:match "%.(%w+)$" or ""):lower()]
end

-- What is wrong with the options' values, or nil.
local function complaint_of(path, opts)
  for name, rule in each(RULES) do
    if opts[name] ~= nil and not rule[2](opts[name]) then
      return ("option '%s': %s expected"):format(name, rule[1])
    end
  end
  local separator = opts.separator or ","
  if opts.separator and (format_of(path, opts) or "csv") ~= "csv" then
    return "option 'separator' is for csv"
  end
  if opts.null and opts.null:find(separator, 1, true) then
    return "option 'null': the separator must not be in it"
  end
end

-- Endings that promise what no table is written as: CSV in them would mislead.
local OTHERS = {
  xlsx = "the server's rs:export writes spreadsheets", xls = "the server's rs:export writes .xlsx",
  json = "jsonl has one object a line", parquet = "no Parquet is written",
}

local function open_table(path, opts, format)
  local hint = not format and OTHERS[(path:match "%.(%w+)$" or ""):lower()]
  if hint then
    return nil, failure.new("unsupported",
      ("a table is saved as csv, tsv or jsonl; %s has another ending, and no format was given")
        :format(path), { operation = "save", retryable = false, hint = hint })
  end
  return table_sink(path, opts, format or "csv")
end

local function open_sink(path, opts, kind)
  local format = format_of(path, opts)
  if kind == "table" then return open_table(path, opts, format) end
  if opts.format and format then return table_sink(path, opts, format) end
  return (kind == "picture" and picture_sink or text_sink)(path, opts)
end

local function run(rs, path, opts)
  local target, refused = core.target(path, opts.overwrite) -- before any page is asked for
  if not target then return nil, refused end
  local source, sink = pages.open(rs, opts), nil
  local function use(facts)
    rs:learn(facts)
    local err
    if not sink then sink, err = open_sink(path, opts, pages.type_of(facts.type)) end
    if not sink then return nil, err end
    return sink.page(facts)
  end
  local n, err
  repeat n, err = source:next(use) until n == nil
  if err then
    source:close()
    if sink then sink.discard() end
    return nil, err
  end
  return sink.commit()
end

--- Saves a result set. A table becomes CSV (RFC 4180), TSV or JSON Lines, by
--- `format` or the path's ending; a text, HTML or picture set is saved as it is,
--- unless `format` asks for one column of its lines.
---@param rs taskclient.ResultSet
---@param path string
---@param opts table|nil format ("csv", "tsv", "jsonl"), separator, quote ("minimal", "all"), null
---  (the word for NULL), bom, header, eol, overwrite (false: an existing file is an error), typed
---  (JSON Lines: numbers and booleans bare), page_size, timeout, durable (the file is synced
---  before it gets its name; default: in plain scripts)
---@return integer|nil rows
---@return integer|table bytes_or_err
function M.save(rs, path, opts)
  options.argument("save", "path", path, "text")
  opts = options.check("save", opts, SCHEMA)
  local complaint = complaint_of(path, opts)
  if complaint then options.raise("save", complaint) end
  opts = copy(opts)
  opts.durable = host.durable(rs.client, opts.durable)
  local rows, bytes = run(rs, path, opts)
  if rows then rawset(rs, "total", rows) end
  return rows, bytes
end

return M
