"use strict";
document.querySelectorAll("figure.layers").forEach(function (figure) {
  figure.querySelectorAll("input[data-layer]").forEach(function (box) {
    var layer = document.getElementById(box.dataset.layer);
    var set = function () {
      if (layer.tagName.toLowerCase() === "img") { layer.hidden = !box.checked; }
      else { layer.style.display = box.checked ? "" : "none"; }
    };
    box.addEventListener("change", set);
    set();
  });
  var data = JSON.parse(figure.querySelector("script").textContent);
  var out = figure.querySelector("output");
  var idle = out.textContent;
  var fields = data.fields.map(function (field) {
    var bytes = Uint8Array.from(atob(field.codes), function (c) { return c.charCodeAt(0); });
    var codes = new Uint16Array(bytes.length / 2);
    for (var i = 0; i < codes.length; i++) { codes[i] = bytes[2 * i] | (bytes[2 * i + 1] << 8); }
    return { name: field.name, unit: field.unit, scale: field.scale, offset: field.offset,
             digits: field.digits, names: field.names, codes: codes };
  });
  var text = function (field, at) {
    var code = field.codes[at];
    if (code === 65535) { return field.name + " –"; }
    if (field.names) { return field.name + " " + field.names[code]; }
    return field.name + " " + (field.offset + field.scale * code).toFixed(field.digits) + " " + field.unit;
  };
  var stack = figure.querySelector(".stack");
  stack.addEventListener("pointermove", function (event) {
    var box = stack.getBoundingClientRect();
    var x = (event.clientX - box.left) / box.width * data.columns;
    var y = (event.clientY - box.top) / box.height * data.rows;
    var column = Math.floor(x), row = Math.floor(y);
    if (column < 0 || row < 0 || column >= data.columns || row >= data.rows) { return; }
    var m = data.matrix, px = x - 0.5, py = y - 0.5;
    var w = m[2][0] * px + m[2][1] * py + m[2][2];
    var u = (m[0][0] * px + m[0][1] * py + m[0][2]) / w;
    var v = (m[1][0] * px + m[1][1] * py + m[1][2]) / w;
    var parts = [data.where + " x " + u.toFixed(1) + ", y " + v.toFixed(1) + " " + data.unit];
    fields.forEach(function (field) { parts.push(text(field, row * data.columns + column)); });
    out.textContent = parts.join("  ·  ");
  });
  stack.addEventListener("pointerleave", function () { out.textContent = idle; });
});
