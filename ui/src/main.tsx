// The first step: style sheets, the address, the shell.
import 'uplot/dist/uPlot.min.css';
import './style/theme.css';
import './style/base.css';
import './style/parts.css';
import './style/graph.css';
import './style/pages.css';
import { render } from 'preact';
import { App } from './app';
import { listen } from './state/address';

listen();
render(<App />, document.getElementById('app')!);
