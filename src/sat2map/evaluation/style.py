"""The look of a report page: light and dark, wide and narrow, screen and paper."""

STYLE = """
:root { color-scheme: light dark; --paper:#fbfaf8; --card:#fff; --ink:#1c1e22; --soft:#666c76; --line:#e3e0da;
  --accent:#0f6b5c; --tint:15,107,92; --mark:#e6f2ef; }
@media (prefers-color-scheme: dark) { :root { --paper:#131519; --card:#1b1e24; --ink:#e9e7e2; --soft:#9aa1ad;
  --line:#2d323b; --accent:#5fd0b8; --tint:95,208,184; --mark:#17332e; } }
* { box-sizing:border-box } html { font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif }
body { margin:0; background:var(--paper); color:var(--ink) }
main { max-width:1180px; margin:0 auto; padding:2.2rem 1.4rem 4rem }
h1 { font-size:1.9rem; line-height:1.2; margin:0; letter-spacing:-.015em; text-wrap:balance }
h2 { font-size:1.2rem; margin:3rem 0 .7rem; letter-spacing:-.01em } h3 { font-size:1rem; margin:0 }
p { max-width:72ch; margin:.4rem 0 } .soft { color:var(--soft); font-size:.92rem }
a { color:var(--accent) } code { font:.86em ui-monospace,Menlo,Consolas,monospace; overflow-wrap:anywhere }
.chips { display:flex; flex-wrap:wrap; gap:.4rem; margin:.8rem 0 1.6rem; padding:0; list-style:none }
.chips li { border:1px solid var(--line); border-radius:99px; padding:.1rem .7rem; font-size:.86rem;
  background:var(--card) }
.heads { display:flex; flex-wrap:wrap; gap:.8rem; margin:1.2rem 0 0 }
.head { background:var(--card); border:1px solid var(--line); border-radius:10px; padding:.7rem 1.1rem;
  min-width:10.5rem; flex:1 }
.head b { display:block; font-size:1.75rem; line-height:1.15; font-variant-numeric:tabular-nums;
  letter-spacing:-.02em }
.strip { margin:0 0 1.5rem } .strip header { display:flex; flex-wrap:wrap; gap:.2rem .9rem;
  align-items:baseline; margin-bottom:.4rem }
.panels { display:grid; grid-template-columns:repeat(4,minmax(0,1fr)); gap:.6rem }
@media (max-width:760px) { .panels { grid-template-columns:repeat(2,minmax(0,1fr)) } }
figure { margin:0 } figcaption { color:var(--soft); font-size:.82rem; margin-top:.15rem }
.panels img { width:100%; display:block; border-radius:6px; background:#8884; cursor:zoom-in }
.panels img:focus { position:fixed; inset:2vmin; width:96vw; height:96vh; object-fit:contain; z-index:9;
  border-radius:0;
  outline:100vmax solid #000d; background:#000; pointer-events:none; cursor:zoom-out }
.scroll { overflow-x:auto; border:1px solid var(--line); border-radius:10px; background:var(--card) }
table { border-collapse:collapse; width:100%; font-size:.9rem; font-variant-numeric:tabular-nums }
th,td { padding:.45rem .6rem; text-align:right; white-space:nowrap; border-top:1px solid var(--line) }
thead th { border-top:0; color:var(--soft); font-weight:500; font-size:.82rem;
  vertical-align:bottom; white-space:normal }
th:first-child,td:first-child { text-align:left } tbody th { font-weight:600 }
tr.baseline th,tr.baseline td { color:var(--soft); font-weight:400 } td.best { background:var(--mark);
  font-weight:650; color:var(--ink) !important }
.matrix table { font-size:.84rem } .matrix th { padding:.42rem .35rem } .matrix thead th { text-align:center }
.matrix td { text-align:center; padding:.42rem .3rem; background:rgba(var(--tint),calc(var(--share)*.85)) }
.matrix td.right { outline:1.5px solid var(--ink); outline-offset:-2px }
.legend { display:flex; flex-wrap:wrap; gap:.2rem 1rem; list-style:none; padding:0; margin:.4rem 0 1.2rem;
  font-size:.86rem }
.legend i { display:inline-block; width:.8rem; height:.8rem; border-radius:3px; margin-right:.35rem;
  vertical-align:-.08rem; border:1px solid #8886 }
svg { display:block; width:100%; height:auto; max-width:760px } svg text { fill:var(--ink); font-size:13px }
  svg .soft { fill:var(--soft); font-size:12px }
svg .grid { stroke:var(--line) } svg .tick { stroke:var(--ink); stroke-width:2 }
  svg .mean { stroke:var(--accent); stroke-width:2 }
.two { display:grid; grid-template-columns:repeat(auto-fit,minmax(min(100%,30rem),1fr)); gap:1.5rem;
  align-items:start }
.warn { border-left:4px solid #d98a1f; padding:.3rem .9rem; background:var(--card); border-radius:0 8px 8px 0;
  margin:.7rem 0 }
dl { display:grid; grid-template-columns:max-content 1fr; gap:.25rem 1.1rem; font-size:.9rem; margin:.6rem 0 }
  dt { color:var(--soft) } dd { margin:0; overflow-wrap:anywhere }
@media print { .panels img { cursor:auto } h2 { break-after:avoid } .strip { break-inside:avoid } }
"""
