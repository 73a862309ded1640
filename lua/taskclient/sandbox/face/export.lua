-- The server's own CSV and spreadsheets, with their dialect, cap and errors inside the 200
-- (protocols 3.12.3).

local each = require "taskclient.compat".each
local db = require "taskclient.sandbox.face.db"
local filesystem = require "taskclient.sandbox.face.filesystem"
local json = require "taskclient.sandbox.face.json"
local reply = require "taskclient.sandbox.face.reply"
local result_file = require "taskclient.sandbox.face.result_file"
local settings = require "taskclient.sandbox.face.settings"
local versions = require "taskclient.sandbox.face.versions"
local xlsx = require "taskclient.sandbox.face.xlsx"

local PIECE = 1000 -- rows written at once

-- The dialect's words: how NULL, "" and the text NULL leave.
local function shower(null_value)
  if null_value == "LINKIS_NULL" then
    return function(cell) return cell == json.null and "null" or cell end
  end
  local word = (null_value == nil or null_value == "") and "NULL" or null_value
  if word:upper() == "BLANK" then word = "" end
  return function(cell)
    if cell == json.null or cell == "" or cell == "NULL" then return word end
    return cell
  end
end

local function separator(query)
  local text = ","
  if versions.profile().csv_separator then text = query.csvSeparator or "," end
  if text == "," then text = query.csvSeperator or "," end
  return (text == "t" or text == "") and "\t" or text
end

-- Cells and headers: newlines to blanks; quotes wrap non-blank cells and delete those inside.
local function writer(query)
  local between = separator(query)
  local quote = versions.profile().csv_quote and query.quoteRetouchEnable == "true"
  local keep = versions.profile().keep_newline and query.keepNewline == "true"
  local show = shower(query.nullValue)
  return function(cells)
    local out = {}
    for i = 1, #cells do
      local text = show(cells[i])
      if not keep then text = text:gsub("\n", " ") end
      if quote and text:find "%S" then text = '"' .. text:gsub('"', "") .. '"' end
      out[i] = text
    end
    return table.concat(out, between) .. "\n"
  end
end

local function cap(query)
  local limit = query.limit
  if limit and limit ~= "" and not limit:find "^%-?%d+$" then reply.refuse(400) end
  limit = versions.profile().csv_limit and tonumber(limit) or 0
  return limit > 0 and limit or settings.export_limit
end

local function headers(set)
  local names = {}
  for i, column in ipairs(set.metadata) do names[i] = column.columnName end
  return names
end

local function each_row(set, limit, write)
  local first = 0
  while first < limit do
    local lines = result_file.rows(set, first, math.min(PIECE, limit - first))
    write(lines)
    if #lines < PIECE then break end
    first = first + #lines
    if first % 50000 == 0 then ngx.sleep(0) end
  end
end

local charsets = { ["utf-8"] = true, utf8 = true }

-- What a charset cannot express becomes "?"; by the C library's iconv.
local function encode(text, charset)
  if charsets[charset:lower()] then return text end
  return require("taskclient.sandbox.face.charset").from_utf8(text, charset)
end

local function csv(rq, set, limit, charset)
  local line = writer(rq.query)
  if set.type == "2" then reply.print(encode(line(headers(set)), charset)) end
  each_row(set, limit, function(lines)
    local out = {}
    for i, text in ipairs(lines) do
      local cells = json.decode(text)
      out[i] = set.type == "2" and line(cells) or (cells[1]:gsub("\n", " "))
    end
    reply.print(encode(table.concat(out), charset))
    ngx.flush(true)
  end)
end

local function sheet(set, name, query, limit)
  local show, rows = shower(query.nullValue), {}
  each_row(set, limit, function(lines)
    for _, text in ipairs(lines) do
      local cells = json.decode(text)
      for c = 1, #cells do cells[c] = show(cells[c]) end
      rows[#rows + 1] = cells
    end
  end)
  return { name = name, columns = headers(set), rows = rows }
end

-- UTF-8 bytes stand in the header as they are.
local function disposition(name) return "attachment;filename=" .. name end

-- Runs a stream; what it raises before its first byte becomes the text of a 200.
local function in_stream(run)
  local ok, err = pcall(run)
  if ok then return end
  if reply.is_raised(err) and err.boot then error(err, 0) end
  if ngx.headers_sent then return ngx.exit(444) end
  ngx.header["Content-Disposition"] = nil
  reply.stream("text/plain;charset=utf-8")
  local text = reply.is_raised(err) and err.text or tostring(err)
  reply.send(200, "error(错误):" .. text)
end

local function open_set(rq)
  local path = rq.query.path
  if path == nil then
    reply.java("publicservice", "IllegalArgumentException", "Can not create a Path from a null"
      .. " string")
  end
  local row = filesystem.existing(filesystem.checked(rq, path))
  local set, err = result_file.open(row)
  if not set then
    reply.java("publicservice", "IOException", "File header type must be dolphin,content:"
      .. (row.size > 0 and err or "") .. " is not")
  end
  return set
end

local function one(rq)
  local limit = cap(rq.query)
  in_stream(function()
    local kind, charset = rq.query.outputFileType or "csv", rq.query.charset or "utf-8"
    local set = open_set(rq)
    if kind ~= "csv" and kind ~= "xlsx" then reply.java("publicservice", "Exception", "null") end
    local name = disposition((rq.query.outputFileName or "downloadResultset") .. "." .. kind)
    if kind == "xlsx" and set.type ~= "2" then
      reply.fail("publicservice", 80024, "Non-tabular result sets cannot be downloaded as "
        .. "excel(非table类型的结果集不能下载为excel)")
    end
    if kind == "csv" then
      reply.stream("text/plain;charset=" .. charset, name, true)
      csv(rq, set, limit, charset)
    else
      reply.stream(xlsx.mime, name)
      reply.send(200, xlsx.book { sheet(set, rq.query.sheetName or "result", rq.query, limit) })
    end
    set.file:close()
  end)
end

local function number_of(path) return tonumber(path:match "_(%d+)%.dolphin$") or 0 end

local function all(rq)
  local limit = cap(rq.query)
  in_stream(function()
    local path = filesystem.checked(rq, rq.query.path)
    local list = db.rows("SELECT * FROM file WHERE parent = ? AND kind = 'result'", path)
    if #list == 0 then reply.fail("publicservice", 80029, "Empty dir(空目录)!") end
    table.sort(list, function(a, b) return number_of(a.path) < number_of(b.path) end)
    local sheets = {}
    for _, row in ipairs(list) do
      local set = result_file.open(row)
      if set and set.type == "2" then
        sheets[#sheets + 1] = sheet(set, "sheet" .. #sheets, rq.query, limit)
      end
      if set then set.file:close() end
    end
    reply.stream(xlsx.mime, disposition((rq.query.outputFileName or "downloadResultset")
      .. ".xlsx"))
    reply.send(200, xlsx.book(sheets))
  end)
end

local routes = { resultsetToExcel = { "GET", one }, resultsetsToExcel = { "GET", all } }

for name, route in each(routes) do filesystem.routes[name] = route end
