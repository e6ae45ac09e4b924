// A graph the size of a word: the shape of a counter's history, without axes. The figures beside it say the rest.
import { useResource } from '../state/resource';
import { historyIn } from '../api/history-in';
import { exact } from '../words/number';
import { browserZone } from '../words/time';

export function Spark({ counter }: { counter: string }) {
  const { data } = useResource((signal) => historyIn({ keys: [counter], range: 'all', zone: browserZone() }, signal), [counter]);
  const amounts = data?.series[0]?.points.map(({ value }) => Number(exact(value))) ?? [];
  const most = Math.max(1, ...amounts);
  return (
    <svg class="spark" viewBox={`0 0 ${Math.max(1, amounts.length)} 20`} preserveAspectRatio="none" aria-hidden="true">
      {amounts.map((amount, index) => {
        const height = amount > 0 ? Math.max(0.8, (amount / most) * 20) : 0;
        return <rect key={index} x={index + 0.1} y={20 - height} width={0.8} height={height} />;
      })}
    </svg>
  );
}
