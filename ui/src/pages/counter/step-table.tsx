// The graph once more as a table, for those who read rather than look.
import type { Column } from '../../words/columns';
import { digits } from '../../words/number';
import { interval, stepName } from '../../words/time';

export interface StepTableProps {
  keys: string[];
  columns: Column[];
  zone: string;
  step: string;
  running: boolean;
}

export function StepTable({ keys, columns, zone, step, running }: StepTableProps) {
  return (
    <details class="card step-table">
      <summary>The graph as a table</summary>
      <div class="scroll" tabIndex={0} role="region" aria-label="The graph as a table">
        <table>
          <caption class="visually-hidden">
            {running ? 'Running totals' : 'Amounts'} of {keys.join(', ')}, each {stepName(step)}, {zone}
          </caption>
          <thead>
            <tr>
              <th scope="col">Time</th>
              {keys.map((key) => <th key={key} scope="col"><span class="key">{key}</span></th>)}
            </tr>
          </thead>
          <tbody>
            {columns.map(({ start, end, complete, values }) => (
              <tr key={start}>
                <th scope="row">{interval(start, end, zone)}{!complete && ' so far'}</th>
                {keys.map((key, line) => <td key={key}>{digits(values[line] ?? 0n)}</td>)}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
